import { type SqlPiece, type SqlToken, splitStatements, tokenText, wordAt } from '../sql-text.ts';
import { judgePragma } from './pragmas.ts';

/**
 * What a statement does, as its text says. `temp` and `state` change the connection it runs on. A mistake costs time and
 * nothing else: what is taken for a read and writes is stopped by the executor and carried out again as a write.
 */
export type StatementKind =
  | 'read'
  | 'write'
  | 'temp'
  | 'state'
  | 'begin'
  | 'begin-readonly'
  | 'begin-write'
  | 'commit'
  | 'rollback'
  | 'savepoint'
  | 'release';

export type StatementTraits = {
  readonly kind: StatementKind;
  /** The first word that counts: `insert` for `WITH … INSERT`. Empty when there is none. */
  readonly verb: string;
  readonly isExplain: boolean;
};

export function classify(piece: SqlPiece): StatementTraits {
  const { text, tokens } = piece;
  let at = 0;
  const isExplain = wordAt(text, tokens[0]) === 'explain';
  if (isExplain) at = wordAt(text, tokens[1]) === 'query' ? 3 : 1;
  const verb = wordAt(text, tokens[at]);
  const effective = verb === 'with' ? mainVerb(piece, at + 1) : verb;
  const kind = kindOf(piece, effective, at);
  return { kind: isExplain && kind !== 'state' ? 'read' : kind, verb: effective, isExplain };
}

const MAIN_VERBS = new Set(['select', 'values', 'insert', 'replace', 'update', 'delete']);

/** The verb after the common table expressions: the first at the outermost level. */
function mainVerb({ text, tokens }: SqlPiece, from: number): string {
  let depth = 0;
  for (const token of tokens.slice(from)) {
    const here = token.kind === 'other' ? tokenText(text, token) : '';
    if (here === '(') depth++;
    else if (here === ')') depth--;
    else if (depth === 0 && MAIN_VERBS.has(wordAt(text, token))) return wordAt(text, token);
  }
  return 'with';
}

const WRITING = new Set([
  ...['insert', 'replace', 'update', 'delete', 'create', 'drop', 'alter', 'reindex', 'analyze', 'vacuum'],
]);

function kindOf(piece: SqlPiece, verb: string, at: number): StatementKind {
  if (verb === 'create' && makesTemporary(piece, at + 1)) return 'temp';
  if (WRITING.has(verb)) return 'write';
  if (verb === 'begin') return beginKind(piece, at + 1);
  if (verb === 'commit' || verb === 'end') return 'commit';
  if (verb === 'rollback') return hasWord(piece, 'to') ? 'read' : 'rollback';
  if (verb === 'savepoint' || verb === 'release') return verb;
  if (verb === 'pragma') return pragmaKind(piece, at + 1);
  return 'read';
}

const hasWord = ({ text, tokens }: SqlPiece, word: string): boolean =>
  tokens.some((token) => wordAt(text, token) === word);

const TEMPORARY = new Set(['temp', 'temporary']);

/** `CREATE TEMP …`, or a name with `temp.` before it, however quoted. */
function makesTemporary({ text, tokens }: SqlPiece, at: number): boolean {
  if (TEMPORARY.has(wordAt(text, tokens[at]))) return true;
  const dot = tokens.slice(at, at + NAME_TOKENS_MAX).findIndex((token) => tokenText(text, token) === '.');
  return dot > 0 && TEMPORARY.has(unquoted(text, tokens[at + dot - 1]));
}

/** `CREATE UNIQUE INDEX IF NOT EXISTS temp .`: the dot is the seventh token at most. */
const NAME_TOKENS_MAX = 8;

function unquoted(text: string, token: SqlToken | undefined): string {
  if (token === undefined) return '';
  const raw = tokenText(text, token).toLowerCase();
  return token.kind === 'word' ? raw : raw.slice(1, -1);
}

function beginKind({ text, tokens }: SqlPiece, at: number): StatementKind {
  const words = [wordAt(text, tokens[at]), wordAt(text, tokens[at + 1])];
  if (words.includes('readonly')) return 'begin-readonly';
  return words[0] === 'immediate' || words[0] === 'exclusive' ? 'begin-write' : 'begin';
}

function pragmaKind({ text, tokens }: SqlPiece, from: number): StatementKind {
  const isQualified = tokens[from + 1] !== undefined && tokenText(text, tokens[from + 1] as SqlToken) === '.';
  const at = isQualified ? from + 2 : from;
  const rest = tokens.slice(at + 1).filter((token) => !['=', '(', ')'].includes(tokenText(text, token)));
  const argument = rest.map((token) => unquotedValue(text, token)).join('');
  const verdict = judgePragma(unquoted(text, tokens[at]), rest.length === 0 ? null : argument);
  if (verdict.kind === 'both') return 'state';
  return verdict.kind === 'refused' ? 'read' : verdict.kind;
}

const unquotedValue = (text: string, token: SqlToken): string =>
  token.kind === 'string' || token.kind === 'quoted' ? unquoted(text, token) : tokenText(text, token);

/** What a program (a batch, a sequence) needs to be carried out. */
export type ProgramNeeds = {
  /** The write ticket. */
  readonly writes: boolean;
  /** It begins transactions, so that nobody else may use its connection meanwhile. */
  readonly transacts: boolean;
  /** It leaves something on its connection: temporary objects, settings. */
  readonly isStateful: boolean;
  /** It may well end inside of a transaction. */
  readonly staysOpen: boolean;
};

const OPENING: ReadonlySet<StatementKind> = new Set<StatementKind>([
  ...(['begin', 'begin-readonly', 'begin-write', 'savepoint'] as const),
]);

export function needsOf(statements: Iterable<StatementTraits>): ProgramNeeds {
  let [writes, transacts, isStateful, staysOpen] = [false, false, false, false];
  for (const { kind } of statements) {
    writes ||= kind === 'write' || kind === 'begin-write';
    isStateful ||= kind === 'temp' || kind === 'state';
    if (OPENING.has(kind)) transacts = staysOpen = true;
    else if (kind === 'commit' || kind === 'rollback' || kind === 'release') staysOpen = false;
  }
  return { writes, transacts, isStateful, staysOpen };
}

/** The traits of a text that should be one statement; those of all together when it is not. */
export const traitsOf = (sql: string): readonly StatementTraits[] => splitStatements(sql).map(classify);
