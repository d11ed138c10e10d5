/** A name as SQL. */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;
/** A text as SQL. */
export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

export type Token = { readonly text: string; readonly start: number; readonly end: number };

const TOKEN =
  /\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\p{L}_\u0080-\uffff$\d.]+|[\s\S]/gu;
const BLANK = /^(?:\s|--|\/\*)/;

/** The words, quoted names, texts and signs of a piece of SQL, without blanks and comments. */
export function tokensOf(sql: string): readonly Token[] {
  const all = [...sql.matchAll(TOKEN)].map((found) => ({
    text: found[0],
    start: found.index,
    end: found.index + found[0].length,
  }));
  return all.filter((token) => !BLANK.test(token.text));
}

const isWord = (token: Token | undefined, word: string): boolean => token?.text.toUpperCase() === word;

const depthChange = (token: Token): number => (token.text === '(' ? 1 : token.text === ')' ? -1 : 0);

/** The condition of `CREATE INDEX … WHERE …`; null when the index is not partial. */
export function partialCondition(createIndex: string): string | null {
  let depth = 0;
  for (const token of tokensOf(createIndex)) {
    depth += depthChange(token);
    if (depth === 0 && isWord(token, 'WHERE')) return createIndex.slice(token.end).trim();
  }
  return null;
}

/** The expressions of the generated columns of a `CREATE TABLE`, by column name. */
export function generatedExpressions(createTable: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const definition of definitionsOf(createTable)) {
    const expression = generatedExpression(definition, createTable);
    if (expression !== null) found.set(unquote(definition[0]?.text ?? ''), expression);
  }
  return found;
}

/** The tokens between the commas of the table's outer parentheses. */
function definitionsOf(createTable: string): readonly (readonly Token[])[] {
  const definitions: Token[][] = [[]];
  let depth = 0;
  for (const token of tokensOf(createTable)) {
    const before = depth;
    depth += depthChange(token);
    if (before === 1 && token.text === ',') definitions.push([]);
    else if (before > 0 && depth > 0) definitions.at(-1)?.push(token);
  }
  return definitions;
}

function generatedExpression(definition: readonly Token[], sql: string): string | null {
  let depth = 0;
  for (const [index, token] of definition.entries()) {
    const open = definition[index + 1];
    if (depth === 0 && isWord(token, 'AS') && open?.text === '(') return enclosed(definition.slice(index + 1), sql);
    depth += depthChange(token);
  }
  return null;
}

/** What stands between the first parenthesis and the one that closes it. */
function enclosed(tokens: readonly Token[], sql: string): string {
  let depth = 0;
  for (const token of tokens) {
    depth += depthChange(token);
    if (depth === 0) return sql.slice(tokens[0]?.end, token.start).trim();
  }
  return '';
}

/** The name that a token stands for. */
export function unquote(text: string): string {
  const first = text[0];
  if (first === '[') return text.slice(1, -1);
  if (first === '"' || first === '`' || first === "'") return text.slice(1, -1).replaceAll(first + first, first);
  return text;
}
