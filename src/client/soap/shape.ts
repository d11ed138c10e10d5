import { escapeText, notUnderstood, type XmlName } from './xml.ts';

/** Prefixes of the namespaces that messages are written with. */
export type Prefixes = ReadonlyMap<string, string>;

/** Text of an element as a value. */
type Leaf = {
  readonly kind: 'leaf';
  /** What the element stands for; null when it is nil. Undefined: its text is no such value. */
  readonly read: (text: string | null) => unknown;
  readonly write: (value: unknown) => string | null;
};

type ObjectShape = {
  readonly kind: 'object';
  readonly namespace: string;
  readonly fields: readonly Field[];
  readonly byName: ReadonlyMap<string, Field>;
};

type ListShape = {
  readonly kind: 'list';
  readonly namespace: string;
  readonly name: string;
  readonly item: Shape<unknown>;
  /** Items are handed to this sink one by one instead of being collected. */
  readonly sink: string | null;
};

type Field = { readonly name: string; readonly property: string; readonly shape: Shape<unknown> };

declare const type: unique symbol;

/** How a `T` stands in XML, in the way of a .NET data contract: every element may be missing or nil. */
export type Shape<T> = (Leaf | ObjectShape | ListShape) & { readonly [type]?: T };

const leaf = <T>(read: (text: string | null) => T | undefined, write: (value: T) => string | null): Shape<T> => ({
  kind: 'leaf',
  read,
  write: (value) => write(value as T),
});

/** Missing or nil is null, which is not the empty text. */
export const text: Shape<string | null> = leaf<string | null>(
  (found) => found,
  (value) => value,
);

const TRUTH: ReadonlyMap<string, boolean> = new Map([
  ['', false],
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

/** Missing is false, as in .NET. */
export const bool: Shape<boolean> = leaf<boolean>((found) => TRUTH.get((found ?? '').trim()), String);

const INTEGER = /^[+-]?\d{1,19}$/;
const INT64_MAX = 2n ** 63n - 1n;

function readInteger(found: string | null): bigint | undefined {
  const digits = (found ?? '').trim();
  if (digits === '') return 0n;
  if (!INTEGER.test(digits)) return undefined;
  const value = BigInt(digits.replace(/^\+/, ''));
  return value > INT64_MAX || value < -INT64_MAX - 1n ? undefined : value;
}

/** Missing is 0, as in .NET. */
export const long: Shape<bigint> = leaf<bigint>(readInteger, String);

export const count: Shape<number> = leaf<number>((found) => {
  const value = readInteger(found);
  return value === undefined ? undefined : Number(value);
}, String);

/** Fields in the order of the schema: the element's name first, then how it stands there. */
export function object<T extends object>(
  namespace: string,
  fields: { readonly [K in keyof T]: readonly [name: string, shape: Shape<T[K]>] },
): Shape<T> {
  const all = Object.entries<readonly [string, Shape<unknown>]>(fields).map(
    ([property, [name, shape]]): Field => ({ name, property, shape }),
  );
  return { kind: 'object', namespace, fields: all, byName: new Map(all.map((field) => [field.name, field])) };
}

export const list = <T>(
  namespace: string,
  name: string,
  item: Shape<T>,
  sink: string | null = null,
): Shape<readonly T[]> => ({ kind: 'list', namespace, name, item, sink });

/** What an element stands for that is not there. */
function absent(shape: Shape<unknown>): unknown {
  switch (shape.kind) {
    case 'leaf':
      return shape.read(null);
    case 'list':
      return [];
    case 'object':
      return Object.fromEntries(shape.fields.map((field) => [field.property, absent(field.shape)]));
  }
}

/** What takes the items of lists that are not collected, by the name of their sink. */
export type Sinks = Readonly<Record<string, (item: unknown) => void>>;

/** Collected at once: more than any call of the contract holds outside of its rows, and than any row. */
const HELD_CHARS_MAX = 128 * 1024 * 1024;
/** What an element weighs beside its text. */
const ELEMENT_CHARS = 64;

type Frame = {
  readonly name: string;
  readonly shape: Shape<unknown>;
  readonly nil: boolean;
  readonly fields: Record<string, unknown>;
  readonly items: unknown[];
  text: string;
  /** Characters that were held when the frame was opened. */
  readonly heldBefore: number;
};

/** Builds the value of one element from its events. Elements that the contract does not know are passed over. */
export class ShapeReader {
  readonly #sinks: Sinks;
  readonly #frames: Frame[] = [];
  #ignored = 0;
  #held = 0;
  /** The value of the outermost element once it was closed. */
  result: { readonly value: unknown } | null = null;

  constructor(sinks: Sinks) {
    this.#sinks = sinks;
  }

  /** Begins the outermost element. */
  begin(name: string, shape: Shape<unknown>, nil: boolean): void {
    this.#push(name, shape, nil);
  }

  open({ namespace, name }: XmlName, nil: boolean): void {
    const top = this.#frames.at(-1);
    if (top === undefined || this.#ignored > 0) {
      this.#ignored++;
      return;
    }
    if (top.shape.kind === 'leaf') throw notUnderstood(`${top.name} is a value, and holds the element ${name}`);
    const inner = innerOf(top, name);
    if (inner === undefined) {
      this.#ignored++;
      return;
    }
    if (inner.namespace !== namespace) throw notUnderstood(`${name} in ${top.name} is of another namespace`);
    this.#push(name, inner.shape, nil);
  }

  text(text: string): void {
    const top = this.#frames.at(-1);
    if (top === undefined || this.#ignored > 0) return;
    if (top.shape.kind !== 'leaf') {
      if (text.trim() !== '') throw notUnderstood(`${top.name} holds text`);
      return;
    }
    this.#hold(text.length);
    top.text += text;
  }

  close(): void {
    if (this.#ignored > 0) {
      this.#ignored--;
      return;
    }
    const frame = this.#frames.pop();
    if (frame === undefined) return;
    const value = frameValue(frame);
    const parent = this.#frames.at(-1);
    if (parent === undefined) this.result = { value };
    else this.#give(parent, frame, value);
  }

  #push(name: string, shape: Shape<unknown>, nil: boolean): void {
    const heldBefore = this.#held;
    this.#hold(ELEMENT_CHARS);
    this.#frames.push({ name, shape, nil, fields: {}, items: [], text: '', heldBefore });
  }

  #hold(chars: number): void {
    this.#held += chars;
    if (this.#held > HELD_CHARS_MAX) throw notUnderstood('a part of it is larger than can be taken');
  }

  #give(parent: Frame, { name, heldBefore }: Frame, value: unknown): void {
    const { shape } = parent;
    if (shape.kind === 'object') {
      const property = shape.byName.get(name)?.property ?? name;
      if (property in parent.fields) throw notUnderstood(`${name} is there twice in ${parent.name}`);
      parent.fields[property] = value;
      return;
    }
    const sink = shape.kind === 'list' && shape.sink !== null ? this.#sinks[shape.sink] : undefined;
    if (sink === undefined) {
      parent.items.push(value);
      return;
    }
    this.#held = heldBefore;
    sink(value);
  }
}

function innerOf(
  { shape }: Frame,
  name: string,
): { readonly namespace: string; readonly shape: Shape<unknown> } | undefined {
  if (shape.kind === 'leaf') return undefined;
  if (shape.kind === 'list') return name === shape.name ? { namespace: shape.namespace, shape: shape.item } : undefined;
  const field = shape.byName.get(name);
  return field === undefined ? undefined : { namespace: shape.namespace, shape: field.shape };
}

function frameValue({ name, shape, nil, fields, items, text: found }: Frame): unknown {
  if (nil) return absent(shape);
  switch (shape.kind) {
    case 'leaf': {
      const value = shape.read(found);
      if (value === undefined) throw notUnderstood(`${name} has a value of another type`);
      return value;
    }
    case 'list':
      return items;
    case 'object':
      for (const { property, shape: inner } of shape.fields) fields[property] ??= absent(inner);
      return fields;
  }
}

/** The element with its value, in the order of the schema. */
export function writeElement<T>(qualified: string, shape: Shape<T>, value: T, prefixes: Prefixes): string {
  if (shape.kind === 'leaf') {
    const written = shape.write(value);
    return written === null ? `<${qualified} i:nil="true"/>` : `<${qualified}>${escapeText(written)}</${qualified}>`;
  }
  const prefix = prefixes.get(shape.namespace) ?? '';
  if (shape.kind === 'list') {
    const items = value as readonly unknown[];
    const inner = items.map((item) => writeElement(`${prefix}:${shape.name}`, shape.item, item, prefixes)).join('');
    return `<${qualified}>${inner}</${qualified}>`;
  }
  const properties = value as Readonly<Record<string, unknown>>;
  const inner = shape.fields
    .map((field) => writeElement(`${prefix}:${field.name}`, field.shape, properties[field.property], prefixes))
    .join('');
  return `<${qualified}>${inner}</${qualified}>`;
}
