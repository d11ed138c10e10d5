import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { SpeilError } from '../../core/error.ts';
import type { BodyEncoding } from '../exchange.ts';
import { contractBroken } from './frame.ts';

/** Smaller bodies fit into a packet or two as they are. */
const COMPRESS_BYTES_MIN = 2_000;

const COMPRESSION = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** As a power of two: 8 MB of memory for a body that comes, whatever it asks for. Ours need less. */
const WINDOW_LOG_MAX = 23;

/** What unfolds is collected in pieces of this size: a batch of the usual size in one. */
const PIECE_BYTES = 1_048_576;

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

export type Packed = { readonly encoding: BodyEncoding; readonly body: Uint8Array };

/** The body compressed, if that is wanted and makes it smaller. */
export async function pack(body: Uint8Array, wanted: boolean): Promise<Packed> {
  if (!wanted || body.byteLength < COMPRESS_BYTES_MIN) return { encoding: 'identity', body };
  const smaller = await compress(body, COMPRESSION);
  return smaller.byteLength < body.byteLength ? { encoding: 'zstd', body: smaller } : { encoding: 'identity', body };
}

/** Throws `CALL_TOO_LARGE` as soon as more than `bytesMax` come out, and `CONTRACT_BROKEN` for what is not zstd. */
export async function unpack({ encoding, body }: Packed, bytesMax: number): Promise<Uint8Array> {
  if (body.byteLength > bytesMax) throw tooLarge(bytesMax);
  if (encoding === 'identity') return body;
  try {
    return await decompress(body, {
      maxOutputLength: bytesMax,
      chunkSize: PIECE_BYTES,
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
    });
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(bytesMax);
    throw contractBroken('the body is not what its compression says');
  }
}

export const tooLarge = (bytesMax: number): SpeilError =>
  new SpeilError('CALL_TOO_LARGE', `a body has more than the ${bytesMax} bytes that are taken`, {
    hint: 'Smaller batches make smaller calls: BatchSize of the tenant’s preferences. Or allow larger ones at the receiving side.',
  });
