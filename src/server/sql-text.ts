/**
 * SQL as SQLite's own tokenizer cuts it (`tokenize.c`), and no further: enough to tell statements apart, to number
 * parameters and to see what a statement is about. What is no token to SQLite becomes one of kind `other`, so that SQLite
 * has the last word on it.
 */
export type SqlToken = {
  readonly kind: 'word' | 'quoted' | 'string' | 'number' | 'parameter' | 'semicolon' | 'other';
  readonly start: number;
  readonly end: number;
};

/** One statement of a text, without the semicolon that ends it; `tokens` count from the start of `text`. */
export type SqlPiece = { readonly text: string; readonly tokens: readonly SqlToken[] };

const TOKEN = new RegExp(
  [
    '(?<space>[ \\t\\n\\f\\r\\ufeff]+|--[^\\n]*|/\\*[^]*?(?:\\*/|$))',
    '(?<word>[A-Za-z_\\u0080-\\uffff][\\w$\\u0080-\\uffff]*)',
    "(?<string>')",
    '(?<quoted>["`]|\\[[^\\]]*(?:\\]|$))',
    '(?<number>(?:\\d|\\.\\d)[\\w.$\\u0080-\\uffff]*)',
    '(?<parameter>\\?\\d*|[:@$#](?:[\\w$\\u0080-\\uffff]+|::)+(?:\\([^)\\s]*\\)?)?)',
    '(?<semicolon>;)',
    '(?<other>[^])',
  ].join('|'),
  'gy',
);

const KINDS = ['word', 'string', 'quoted', 'number', 'parameter', 'semicolon'] as const;

export function tokenize(sql: string): SqlToken[] {
  const tokens: SqlToken[] = [];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(sql); match !== null; match = TOKEN.exec(sql)) {
    const groups = match.groups ?? {};
    if (groups['space'] !== undefined) continue;
    const kind = KINDS.find((name) => groups[name] !== undefined) ?? 'other';
    if (QUOTES.has(match[0])) TOKEN.lastIndex = endOfQuoted(sql, match.index, match[0]);
    tokens.push({ kind, start: match.index, end: TOKEN.lastIndex });
  }
  return tokens;
}

/** They are doubled within what they quote. */
const QUOTES: ReadonlySet<string> = new Set(["'", '"', '`']);

/** Not by a regular expression, whose memory for going back ends with literals of some megabytes. */
function endOfQuoted(sql: string, start: number, quote: string): number {
  let at = sql.indexOf(quote, start + 1);
  while (at >= 0 && sql[at + 1] === quote) at = sql.indexOf(quote, at + 2);
  return at < 0 ? sql.length : at + 1;
}

export const tokenText = (sql: string, { start, end }: SqlToken): string => sql.slice(start, end);

/** The word in lower case; empty for what is no word (a quoted name is no keyword). */
export const wordAt = (sql: string, token: SqlToken | undefined): string =>
  token?.kind === 'word' ? tokenText(sql, token).toLowerCase() : '';

/** The statements of a text; what holds nothing but space and comments is none. */
export function splitStatements(sql: string): SqlPiece[] {
  const tokens = tokenize(sql);
  const pieces: SqlPiece[] = [];
  let from = 0;
  let begin = 0;
  const cut = (upTo: number, end: number) => {
    if (upTo > from) pieces.push(piece(sql, tokens.slice(from, upTo), begin, end));
    from = upTo + 1;
    begin = end + 1;
  };
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index];
    if (token?.kind === 'semicolon' && endsStatement(sql, tokens, from, index)) cut(index, token.start);
  }
  cut(tokens.length, sql.length);
  return pieces;
}

function piece(sql: string, tokens: readonly SqlToken[], begin: number, end: number): SqlPiece {
  if (begin === 0) return { text: end === sql.length ? sql : sql.slice(0, end), tokens };
  const moved = tokens.map(({ kind, start, end: last }) => ({ kind, start: start - begin, end: last - begin }));
  return { text: sql.slice(begin, end), tokens: moved };
}

/** The semicolons within a trigger's body end none: that takes one after its END (as `sqlite3_complete` has it). */
function endsStatement(sql: string, tokens: readonly SqlToken[], from: number, at: number): boolean {
  if (!isTrigger(sql, tokens, from)) return true;
  return wordAt(sql, tokens[at - 1]) === 'end' && tokens[at - 2]?.kind === 'semicolon';
}

function isTrigger(sql: string, tokens: readonly SqlToken[], from: number): boolean {
  let at = from;
  if (wordAt(sql, tokens[at]) === 'explain') at++;
  if (wordAt(sql, tokens[at]) === 'query') at += 2;
  if (wordAt(sql, tokens[at++]) !== 'create') return false;
  if (['temp', 'temporary'].includes(wordAt(sql, tokens[at]))) at++;
  return wordAt(sql, tokens[at]) === 'trigger';
}

/**
 * A statement's parameters by their number, from 1: the name with its prefix, or null for `?` and for numbers that none
 * has. `?7` is called `?7`. As SQLite numbers them.
 */
export function parametersOf({ text, tokens }: SqlPiece): (string | null)[] {
  const names: (string | null)[] = [];
  for (const token of tokens) {
    if (token.kind === 'parameter') number(names, tokenText(text, token));
  }
  return names;
}

/** A parameter like `?7`, which is known by its number. */
export const isNumbered = (name: string): boolean => name.startsWith('?');

/** The largest number that SQLite gives a parameter; a larger one is refused by it. */
const PARAMETERS_MAX = 32_766;

function number(names: (string | null)[], name: string): void {
  if (name === '?') names.push(null);
  else if (name.startsWith('?')) {
    const last = Math.min(Number(name.slice(1)), PARAMETERS_MAX);
    while (names.length < last) names.push(null);
    if (last > 0) names[last - 1] ??= name;
  } else if (!names.includes(name)) names.push(name);
}

/** The statement with calls of some functions renamed; the very text when it has none of them. */
export function renameCalls(
  { text, tokens }: SqlPiece,
  names: readonly string[],
  rename: (name: string) => string,
): string {
  let [result, done] = ['', 0];
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token.kind !== 'word' || next === undefined || tokenText(text, next) !== '(') return;
    const word = wordAt(text, token);
    if (!names.includes(word)) return;
    result += text.slice(done, token.start) + rename(word);
    done = token.end;
  });
  return done === 0 ? text : result + text.slice(done);
}

/** The statement with its values taken out, for people who may not see them. */
export function withoutValues(sql: string): string {
  let [result, done] = ['', 0];
  for (const { kind, start, end } of tokenize(sql)) {
    if (kind !== 'string' && kind !== 'number') continue;
    result += `${sql.slice(done, start)}?`;
    done = end;
  }
  return result + sql.slice(done);
}
