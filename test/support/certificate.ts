import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

export type TestCertificate = {
  readonly cert: string;
  readonly key: string;
};

export type CertificateOptions = {
  /** Host names and IPv4 addresses. */
  readonly names?: readonly string[];
  readonly from?: Date;
  readonly until?: Date;
  readonly kind?: 'ec' | 'rsa';
};

/** DER: tag, length, content. */
function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(length);
  const short = size.subarray(length > 0xffff ? 1 : length > 0xff ? 2 : 3);
  return Buffer.concat([Buffer.of(tag, 0x80 | short.length), short, content]);
}

const sequence = (...contents: readonly Uint8Array[]): Buffer => der(0x30, ...contents);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const bits = (content: Uint8Array): Buffer => der(0x03, Buffer.of(0), content);
const generalizedTime = (date: Date): Buffer =>
  der(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]|\..*/g, '')}Z`));

const SIGNED_BY = {
  ec: sequence(oid('2a8648ce3d040302')),
  rsa: sequence(oid('2a864886f70d01010b'), der(0x05)),
};
const COMMON_NAME = oid('550403');
const SUBJECT_ALT_NAME = oid('551d11');
const BASIC_CONSTRAINTS = oid('551d13');
const TRUE = der(0x01, Buffer.of(0xff));

const altName = (name: string): Buffer =>
  isIP(name) === 4 ? der(0x87, Buffer.from(name.split('.').map(Number))) : der(0x82, Buffer.from(name));

/** A certificate that signed itself, made anew for every test: no private key lies about. */
export function selfSigned(options: CertificateOptions = {}): TestCertificate {
  const {
    names = ['localhost', '127.0.0.1'],
    from = new Date('2020-01-01T00:00:00Z'),
    until = new Date('2120-01-01T00:00:00Z'),
    kind = 'ec',
  } = options;
  const { privateKey, publicKey } =
    kind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const subject = sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from('Speil test')))));
  const extensions = sequence(
    sequence(BASIC_CONSTRAINTS, TRUE, der(0x04, sequence(TRUE))),
    sequence(SUBJECT_ALT_NAME, der(0x04, sequence(...names.map(altName)))),
  );
  const body = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.of(1), randomBytes(8)),
    SIGNED_BY[kind],
    subject,
    sequence(generalizedTime(from), generalizedTime(until)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  );
  const certificate = sequence(body, SIGNED_BY[kind], bits(sign('sha256', body, privateKey)));
  return {
    cert: new X509Certificate(certificate).toString(),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
