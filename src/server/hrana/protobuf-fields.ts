import { BinaryReader, type BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { SpeilError } from '../../core/error.ts';
import { checkCount } from './checks.ts';
import { broken } from './protocol-error.ts';

/** Reads a message that ends at `end`. */
export type ReadMessage<T> = (reader: BinaryReader, end: number) => T;

/** A field of a message, or the several of which a message has one. */
export type Field<T> = {
  /** The number and how it is written, as on the wire. Whatever is written otherwise is another field. */
  readonly tags: readonly number[];
  /** When it is not there. */
  readonly initial: () => T;
  /** `before`: what was read of the same field already. */
  readonly read: (reader: BinaryReader, before: T, tag: number) => T;
  /** Without it the message is none. */
  readonly isNeeded?: true;
};

export type Fields<T> = { readonly [K in keyof T]: Field<T[K]> };

/** Unknown fields are skipped. */
export function message<T extends object>(fields: Fields<T>): ReadMessage<T> {
  const named = Object.entries(fields) as [string, Field<unknown>][];
  const needed = named.filter(([, { isNeeded }]) => isNeeded).map(([name]) => name);
  const byTag = new Map(named.flatMap(([name, field]) => field.tags.map((tag) => [tag, { name, field }] as const)));
  return (reader, end) => {
    const read: Record<string, unknown> = {};
    for (const [name, { initial }] of named) read[name] = initial();
    while (reader.pos < end) {
      const tag = reader.uint32();
      const known = byTag.get(tag);
      if (known === undefined) reader.skip(tag & 7, tag >>> 3);
      else read[known.name] = known.field.read(reader, read[known.name], tag);
    }
    if (reader.pos !== end) throw broken('a field reaches beyond the end of its message');
    for (const name of needed) if (read[name] === undefined) throw broken(`${name} is missing, or of an unknown type`);
    return read as T;
  };
}

const delimited = (field: number): number => (field << 3) | WireType.LengthDelimited;

const scalar = <T>(field: number, wireType: WireType, initial: T, read: (reader: BinaryReader) => T): Field<T> => ({
  tags: [(field << 3) | wireType],
  initial: () => initial,
  read,
});

export const int32 = (field: number): Field<number> => scalar(field, WireType.Varint, 0, (reader) => reader.int32());
export const uint32 = (field: number): Field<number> => scalar(field, WireType.Varint, 0, (reader) => reader.uint32());
export const text = (field: number): Field<string> => scalar(field, WireType.LengthDelimited, '', readText);
export const optionalInt32 = (field: number): Field<number | null> =>
  scalar<number | null>(field, WireType.Varint, null, (reader) => reader.int32());
export const optionalText = (field: number): Field<string | null> =>
  scalar<string | null>(field, WireType.LengthDelimited, null, readText);
export const boolean = (field: number, initial: boolean): Field<boolean> =>
  scalar(field, WireType.Varint, initial, (reader) => reader.bool());

const readText = (reader: BinaryReader): string => reader.string(true);

/** A message within the message. */
export const nested = <T>(field: number, read: ReadMessage<T>): Field<T | null> => ({
  tags: [delimited(field)],
  initial: () => null,
  read: (reader) => readNested(reader, read),
});

export const needed = <T>(field: number, read: ReadMessage<T>): Field<T> => oneOf(new Map([[field, read]]));

export const repeated = <T>(field: number, read: ReadMessage<T>, what: string, countMax: number): Field<T[]> => ({
  tags: [delimited(field)],
  initial: () => [],
  read: (reader, before) => {
    before.push(readNested(reader, read));
    checkCount(before.length, what, countMax);
    return before;
  },
});

/** Messages of which there has to be one, by the numbers of their fields. */
export function oneOf<T>(messages: ReadonlyMap<number, ReadMessage<T>>): Field<T> {
  const byTag = new Map([...messages].map(([field, read]) => [delimited(field), read] as const));
  return {
    tags: [...byTag.keys()],
    initial: () => undefined as T,
    read: (reader, before, tag) => {
      const read = byTag.get(tag);
      return read === undefined ? before : readNested(reader, read);
    },
    isNeeded: true,
  };
}

export function readNested<T>(reader: BinaryReader, read: ReadMessage<T>): T {
  const length = reader.uint32();
  return read(reader, reader.pos + length);
}

/** Throws `PROTOCOL_BROKEN` for what is no such message. */
export const wholeMessage =
  <T>(read: ReadMessage<T>) =>
  (bytes: Uint8Array): T => {
    const reader = new BinaryReader(bytes);
    try {
      return read(reader, reader.len);
    } catch (error) {
      if (error instanceof SpeilError) throw error;
      throw broken(`the message is not protobuf: ${(error as Error).message}`);
    }
  };

type Write<T> = (writer: BinaryWriter, item: T) => void;

export function writeNested<T>(writer: BinaryWriter, field: number, item: T, write: Write<T>): void {
  writer.uint32(delimited(field)).fork();
  write(writer, item);
  writer.join();
}

export function writeEach<T>(writer: BinaryWriter, field: number, items: readonly T[], write: Write<T>): void {
  for (const item of items) writeNested(writer, field, item, write);
}

export function writeText(writer: BinaryWriter, field: number, value: string | null): void {
  if (value !== null) writer.uint32(delimited(field)).string(value);
}

/** Of a message without fields. */
export function writeEmpty(writer: BinaryWriter, field: number): void {
  writer.uint32(delimited(field)).uint32(0);
}
