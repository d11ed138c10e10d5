/** As much of a statement as shows which one it is. */
const SHOWN_CHARACTERS = 2_000;

const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|[xX]?'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|`(?:[^`]|``)*(?:`|$)|\[[^\]]*(?:\]|$)|[\p{L}_$@:?][\p{L}\p{N}_$]*|(?:0[xX][0-9a-fA-F_]+|\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?|\s+|[\s\S]/gu;

/**
 * A statement without its values: each literal becomes `?`, comments go, white space shrinks. What stands in double quotes
 * stays, since SQLite takes it for a name; it takes it for a text where there is no such name, which is what nobody should write.
 */
export function withoutValues(sql: string): string {
  const tokens = (sql.slice(0, SHOWN_CHARACTERS).match(TOKEN) ?? []).map(shown);
  const kept = tokens
    .filter((token, index) => token !== ' ' || tokens[index - 1] !== ' ')
    .join('')
    .trim();
  return sql.length > SHOWN_CHARACTERS ? `${kept}…` : kept;
}

function shown(token: string): string {
  if (/^\s/.test(token) || token.startsWith('--') || token.startsWith('/*')) return ' ';
  if (/^(?:[xX]?'|\d|\.\d)/.test(token)) return '?';
  return token;
}
