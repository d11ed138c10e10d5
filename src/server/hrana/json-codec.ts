import { readClientMessage, readCursorCall, readPipeline } from './json-read.ts';
import { writeCursorEntry, writeCursorHead, writePipeline, writeServerMessage } from './json-write.ts';
import type { Codec } from './messages.ts';

export const jsonCodec: Codec = {
  contentType: 'application/json',
  isBinary: false,
  readPipeline,
  readCursorCall,
  readClientMessage,
  writePipeline,
  writeCursorHead,
  writeCursorEntry,
  writeServerMessage,
};
