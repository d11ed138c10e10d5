import type { SaxesAttributeNS } from 'saxes';
import { type Prefixes, type Shape, ShapeReader, type Sinks } from './shape.ts';
import { escapeAttribute, escapeText, isNil, NIL_NAMESPACE, notUnderstood, type XmlName, XmlReader } from './xml.ts';

export const ENVELOPE_NAMESPACE = 'http://schemas.xmlsoap.org/soap/envelope/';

/** Whose fault it is, as SOAP 1.1 has it. */
export type FaultCode = 'VersionMismatch' | 'MustUnderstand' | 'Client' | 'Server';

/** A call that is not understood, or not carried out, in a way that the contract has no words for. */
export class SoapFault extends Error {
  override readonly name = 'SoapFault';
  readonly code: FaultCode;

  constructor(code: FaultCode, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.code = code;
  }
}

/** Headers that say where a message goes: the way that it came has decided that already. */
const ADDRESSING: ReadonlySet<string> = new Set([
  'http://schemas.microsoft.com/ws/2005/05/addressing/none',
  'http://www.w3.org/2005/08/addressing',
  'http://schemas.xmlsoap.org/ws/2004/08/addressing',
]);

/** Longer than any token; what is longer is none. */
const TOKEN_CHARS_MAX = 64 * 1024;

export type EnvelopeRules = {
  /** The header that holds the token; null where none is expected. */
  readonly token: XmlName | null;
  /** Elements that the body may hold, by name. */
  readonly bodies: ReadonlyMap<string, Shape<unknown>>;
  /** Their namespace. */
  readonly namespace: string;
  readonly sinks: Sinks;
};

export type EnvelopeContent = { readonly name: string; readonly value: unknown; readonly fault: SoapFault | null };

type Place = 'start' | 'envelope' | 'header' | 'entry' | 'token' | 'body' | 'message' | 'fault' | 'end';

/** Reads a SOAP 1.1 envelope as it comes in. Throws `CONTRACT_BROKEN` or a {@link SoapFault}. */
export class EnvelopeReader {
  readonly #rules: EnvelopeRules;
  readonly #xml: XmlReader;
  readonly #message: ShapeReader;
  #place: Place = 'start';
  /** Elements that are open inside of the place. */
  #inner = 0;
  #hasHeader = false;
  #hasBody = false;
  #faultText = '';
  #token: string | null = null;
  #name: string | null = null;

  constructor(rules: EnvelopeRules) {
    this.#rules = rules;
    this.#message = new ShapeReader(rules.sinks);
    this.#xml = new XmlReader({
      open: (name, attributes) => this.#open(name, attributes),
      text: (text) => this.#text(text),
      close: () => this.#close(),
    });
  }

  /** The token of the header, once it was read. */
  get token(): string | null {
    return this.#token;
  }

  /** Name of the element in the body, once it was begun; the header is complete by then. */
  get bodyName(): string | null {
    return this.#name;
  }

  write(bytes: Uint8Array): void {
    this.#xml.write(bytes);
  }

  end(): EnvelopeContent {
    this.#xml.end();
    const name = this.#name;
    if (name === null) throw notUnderstood('its body is empty');
    if (name === 'Fault') return { name, value: null, fault: new SoapFault('Server', this.#faultText.trim()) };
    return { name, value: this.#message.result?.value, fault: null };
  }

  #open(name: XmlName, attributes: readonly SaxesAttributeNS[]): void {
    switch (this.#place) {
      case 'start':
        this.#openEnvelope(name);
        break;
      case 'envelope':
        this.#openPart(name);
        break;
      case 'header':
        this.#openHeader(name, attributes);
        break;
      case 'body':
        this.#openBody(name, isNil(attributes));
        break;
      case 'message':
        this.#message.open(name, isNil(attributes));
        this.#inner++;
        break;
      default:
        this.#inner++;
    }
  }

  #openEnvelope({ namespace, name }: XmlName): void {
    if (name !== 'Envelope') throw notUnderstood('it is no SOAP envelope');
    if (namespace !== ENVELOPE_NAMESPACE) throw new SoapFault('VersionMismatch', 'SOAP 1.1 is spoken here');
    this.#place = 'envelope';
  }

  #openPart({ namespace, name }: XmlName): void {
    if (namespace !== ENVELOPE_NAMESPACE) throw notUnderstood(`${name} is no part of an envelope`);
    if (name === 'Header' && !this.#hasHeader && !this.#hasBody) {
      this.#hasHeader = true;
      this.#place = 'header';
    } else if (name === 'Body' && !this.#hasBody) {
      this.#hasBody = true;
      this.#place = 'body';
    } else throw notUnderstood(`${name} is not where an envelope has it`);
  }

  #openHeader({ namespace, name }: XmlName, attributes: readonly SaxesAttributeNS[]): void {
    const { token } = this.#rules;
    if (token !== null && name === token.name && namespace === token.namespace) {
      if (this.#token !== null) throw notUnderstood(`${name} is there twice`);
      this.#token = '';
      this.#place = 'token';
      return;
    }
    if (mustBeUnderstood(attributes) && !ADDRESSING.has(namespace)) {
      throw new SoapFault('MustUnderstand', `the header ${name} is not understood`);
    }
    this.#place = 'entry';
  }

  #openBody({ namespace, name }: XmlName, nil: boolean): void {
    if (this.#name !== null) throw notUnderstood('its body holds more than one element');
    if (name === 'Fault' && namespace === ENVELOPE_NAMESPACE) {
      this.#place = 'fault';
    } else {
      const shape = namespace === this.#rules.namespace ? this.#rules.bodies.get(name) : undefined;
      if (shape === undefined) throw notUnderstood(`${name} is no message of the contract`);
      this.#message.begin(name, shape, nil);
      this.#place = 'message';
    }
    this.#name = name;
  }

  #text(text: string): void {
    if (this.#place === 'message') this.#message.text(text);
    else if (this.#place === 'token') this.#token = bounded(`${this.#token ?? ''}${text}`);
    else if (this.#place === 'fault') {
      this.#faultText = `${this.#faultText} ${text.trim()}`.slice(0, TOKEN_CHARS_MAX);
    }
  }

  #close(): void {
    if (this.#place === 'message') this.#message.close();
    if (this.#inner > 0) {
      this.#inner--;
      return;
    }
    this.#place = OUTER[this.#place];
  }
}

const OUTER: Readonly<Record<Place, Place>> = {
  start: 'end',
  envelope: 'end',
  header: 'envelope',
  entry: 'header',
  token: 'header',
  body: 'envelope',
  message: 'body',
  fault: 'body',
  end: 'end',
};

function bounded(token: string): string {
  if (token.length > TOKEN_CHARS_MAX) throw notUnderstood('its token is too long to be one');
  return token;
}

const mustBeUnderstood = (attributes: readonly SaxesAttributeNS[]): boolean =>
  attributes.some(
    ({ uri, local, value }) =>
      uri === ENVELOPE_NAMESPACE && local === 'mustUnderstand' && /^\s*(?:1|true)\s*$/.test(value),
  );

/** An envelope around a body that is XML already. */
export function writeEnvelope(prefixes: Prefixes, signedToken: string | null, body: string): string {
  const declared = [...prefixes].map(([namespace, prefix]) => ` xmlns:${prefix}="${escapeAttribute(namespace)}"`);
  const header =
    signedToken === null
      ? ''
      : `<s:Header><m:SignedToken s:mustUnderstand="1">${escapeText(signedToken)}</m:SignedToken></s:Header>`;
  const namespaces = `xmlns:s="${ENVELOPE_NAMESPACE}" xmlns:i="${NIL_NAMESPACE}"${declared.join('')}`;
  return `<?xml version="1.0" encoding="utf-8"?><s:Envelope ${namespaces}>${header}<s:Body>${body}</s:Body></s:Envelope>`;
}

/** The envelope of a fault. */
export const writeFault = ({ code, message }: SoapFault): string =>
  writeEnvelope(
    new Map(),
    null,
    `<s:Fault><faultcode>s:${code}</faultcode><faultstring xml:lang="en">${escapeText(message)}</faultstring></s:Fault>`,
  );
