import type { Codec } from './messages.ts';
import { readClientMessage, readCursorCall, readPipeline } from './protobuf-read.ts';
import { writeCursorEntry, writeCursorHead, writePipeline, writeServerMessage } from './protobuf-write.ts';

export const protobufCodec: Codec = {
  contentType: 'application/x-protobuf',
  isBinary: true,
  readPipeline,
  readCursorCall,
  readClientMessage,
  writePipeline,
  writeCursorHead,
  writeCursorEntry,
  writeServerMessage,
};
