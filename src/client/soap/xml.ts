import { type SaxesAttributeNS, SaxesParser, type SaxesTagNS } from 'saxes';
import { SpeilError } from '../../core/error.ts';

/** Deeper than any message of the contract. */
const DEPTH_MAX = 32;
/** More than any element of the contract has, namespace declarations among them. */
const ATTRIBUTES_MAX = 32;
/** Anything between two tags: the largest single value that is taken, with its escapes. */
export const QUIET_CHARS_MAX = 64 * 1024 * 1024;
/** Nothing but white space comes before the first tag of a message. */
const ENCODING_BYTES = 4;

export const NIL_NAMESPACE = 'http://www.w3.org/2001/XMLSchema-instance';

/** What a document consists of, in its order. Whatever these throw ends the reading. */
export type XmlEvents = {
  readonly open: (name: XmlName, attributes: readonly SaxesAttributeNS[]) => void;
  readonly text: (text: string) => void;
  readonly close: () => void;
};

export type XmlName = { readonly namespace: string; readonly name: string };

export const notUnderstood = (why: string): SpeilError =>
  new SpeilError('CONTRACT_BROKEN', `the message is not understood: ${why}`, {
    hint: 'It must be a SOAP 1.1 message of the mirroring contract; see its WSDL.',
  });

/**
 * Reads an XML document as its bytes come in: UTF-8 or UTF-16, with or without a byte order mark. Refuses document types
 * and with them every entity but the five of XML itself, processing instructions, and whatever is larger or deeper than
 * the contract has any use for. Throws `CONTRACT_BROKEN`; of no use afterwards.
 */
export class XmlReader {
  readonly #parser = new SaxesParser({ xmlns: true, position: false });
  #decoder: TextDecoder | null = null;
  #head: Uint8Array = new Uint8Array(0);
  #depth = 0;
  #attributes = 0;
  #quiet = 0;
  readonly #quietMax: number;

  constructor(events: XmlEvents, quietCharsMax = QUIET_CHARS_MAX) {
    this.#quietMax = quietCharsMax;
    // .NET writes and reads references to characters that XML 1.0 cannot carry (`&#x1;`), so they are read here too.
    Object.assign(this.#parser, { parseEntity: referencedText });
    this.#parser.on('error', (error) => {
      throw notUnderstood(error.message);
    });
    this.#parser.on('doctype', () => {
      throw notUnderstood('it has a document type');
    });
    this.#parser.on('processinginstruction', () => {
      throw notUnderstood('it has a processing instruction');
    });
    this.#parser.on('xmldecl', ({ encoding, version }) => this.#declared(encoding, version));
    this.#parser.on('attribute', () => {
      if (++this.#attributes > ATTRIBUTES_MAX) throw notUnderstood('an element has too many attributes');
    });
    this.#parser.on('opentag', (tag) => this.#open(tag, events));
    const inRoot = (text: string): void => {
      if (this.#depth > 0) events.text(text);
    };
    this.#parser.on('text', inRoot);
    this.#parser.on('cdata', inRoot);
    this.#parser.on('closetag', () => {
      this.#depth--;
      this.#quiet = 0;
      events.close();
    });
  }

  write(bytes: Uint8Array): void {
    if (this.#decoder !== null) {
      this.#feed(this.#decode(this.#decoder, bytes, true));
      return;
    }
    this.#head = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes]);
    if (this.#head.length < ENCODING_BYTES) return;
    this.#decoder = decoderFor(this.#head);
    this.#feed(this.#decode(this.#decoder, this.#head, true));
  }

  /** The document must be complete by now. */
  end(): void {
    if (this.#decoder === null) throw notUnderstood('it is empty');
    this.#feed(this.#decode(this.#decoder, new Uint8Array(0), false));
    this.#parser.close();
  }

  #decode(decoder: TextDecoder, bytes: Uint8Array, stream: boolean): string {
    try {
      return decoder.decode(bytes, { stream });
    } catch {
      throw notUnderstood(`its bytes are not ${decoder.encoding.toUpperCase()}`);
    }
  }

  #feed(text: string): void {
    if (text === '') return;
    this.#quiet += text.length;
    this.#parser.write(text);
    if (this.#quiet > this.#quietMax) throw notUnderstood('a value is larger than can be taken');
  }

  #open({ uri, local, attributes }: SaxesTagNS, events: XmlEvents): void {
    if (++this.#depth > DEPTH_MAX) throw notUnderstood('its elements are nested too deeply');
    this.#attributes = 0;
    this.#quiet = 0;
    events.open({ namespace: uri, name: local }, Object.values(attributes));
  }

  #declared(encoding: string | undefined, version: string | undefined): void {
    if (version !== undefined && version !== '1.0') throw notUnderstood('it is not XML 1.0');
    const actual = this.#decoder?.encoding ?? 'utf-8';
    const declared = encoding?.toLowerCase() ?? actual;
    const fits = actual === 'utf-8' ? /^(?:utf-?8|us-ascii)$/ : /^(?:utf-16(?:le|be)?|ucs-2)$/;
    if (!fits.test(declared)) throw notUnderstood('its encoding is neither UTF-8 nor UTF-16');
  }
}

/** By the byte order mark, or by where the zero of the first `<` is. */
function decoderFor([first, second]: Uint8Array): TextDecoder {
  const is = (a: number, b: number) => first === a && second === b;
  const encoding = is(0xff, 0xfe) || is(0x3c, 0) ? 'utf-16le' : is(0xfe, 0xff) || is(0, 0x3c) ? 'utf-16be' : 'utf-8';
  return new TextDecoder(encoding, { fatal: true });
}

const NAMED: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
]);

/** Longer than any reference that stands for something. */
const REFERENCE_CHARS_MAX = 12;

/** What a reference stands for: a name of XML's own, or any character by its number. */
function referencedText(reference: string): string {
  const named = NAMED.get(reference);
  if (named !== undefined) return named;
  const [, hex, decimal] = /^#(?:x([0-9a-f]+)|([0-9]+))$/i.exec(reference) ?? [];
  const code = hex === undefined ? Number.parseInt(decimal ?? '', 10) : Number.parseInt(hex, 16);
  const isCharacter = code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  if (isCharacter && reference.length <= REFERENCE_CHARS_MAX) return String.fromCodePoint(code);
  throw notUnderstood('it refers to an entity that XML does not have');
}

/** True for `xsi:nil="true"`. */
export const isNil = (attributes: readonly SaxesAttributeNS[]): boolean =>
  attributes.some(
    ({ uri, local, value }) => uri === NIL_NAMESPACE && local === 'nil' && /^\s*(?:true|1)\s*$/.test(value),
  );

// biome-ignore lint/suspicious/noControlCharactersInRegex: those that XML cannot carry as they are
const SPECIAL = /[&<>\x00-\x08\x0b-\x1f\ufffe\uffff]/;
const ALL_SPECIAL = new RegExp(SPECIAL, 'g');
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
]);

/** Text as it stands in an element; what XML cannot carry becomes a reference, as in .NET. */
export function escapeText(text: string): string {
  if (!text.isWellFormed()) {
    throw new SpeilError('VALUE_REFUSED', 'a text holds half of a character, which XML cannot carry', {
      hint: 'Mend the text in the source.',
    });
  }
  return SPECIAL.test(text) ? text.replace(ALL_SPECIAL, (found) => ESCAPES.get(found) ?? reference(found)) : text;
}

const reference = (character: string): string => `&#x${character.charCodeAt(0).toString(16).toUpperCase()};`;

/** Text as it stands in an attribute. */
export const escapeAttribute = (text: string): string =>
  escapeText(text).replaceAll('"', '&quot;').replaceAll('\n', '&#xA;').replaceAll('\t', '&#x9;');
