import { stripTypeScriptTypes } from 'node:module';

/** A file of the project: its path from the root, with `/`, and its text. */
export type ProjectFile = { readonly path: string; readonly text: string };

export type Keep = { readonly strings: boolean };

/**
 * The text with everything that is no code blanked out, every remaining character in its place: comments, regular
 * expressions and, unless kept, what stands inside of quotes. Code inside of template literals stays.
 */
export function codeOnly(text: string, keep: Keep = { strings: false }): string {
  const output: string[] = [];
  const templates: number[] = [];
  let braces = 0;
  let at = 0;
  const take = (length: number, visible: boolean) => {
    const piece = text.slice(at, at + length);
    output.push(visible ? piece : piece.replace(/[^\n]/g, ' '));
    at += length;
  };
  const takeTemplate = () => {
    const [piece = ''] = /^(?:\\[\s\S]|\$(?!\{)|[^`$\\])*/.exec(text.slice(at)) ?? [];
    take(piece.length, keep.strings);
    if (text.startsWith('${', at)) {
      templates.push(braces++);
      take(2, true);
    } else take(1, true);
  };
  while (at < text.length) {
    const [token = '', comment, string, regex] = TOKEN.exec(rest(text, at)) ?? [];
    if (comment !== undefined) take(token.length, false);
    else if (string !== undefined) take(token.length, keep.strings);
    else if (regex !== undefined && regexMayFollow(output)) take(token.length, false);
    else if (token === '`') {
      take(1, true);
      takeTemplate();
    } else if (token === '}' && templates.at(-1) === braces - 1) {
      braces = templates.pop() ?? 0;
      take(1, true);
      takeTemplate();
    } else {
      const plain = regex === undefined ? token : '/';
      braces += plain === '{' ? 1 : plain === '}' ? -1 : 0;
      take(Math.max(plain.length, 1), true);
    }
  }
  return output.join('');
}

const COMMENT = String.raw`(\/\/[^\n]*|\/\*[\s\S]*?\*\/)`;
const STRING = String.raw`('(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*")`;
const REGEX = String.raw`(\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*)`;
const TOKEN = new RegExp(String.raw`^(?:${COMMENT}|${STRING}|${REGEX}|[\w$]+|\s+|[\s\S])`);

/** Enough text for one token, so that long files are not copied again and again. */
const rest = (text: string, at: number): string => {
  const start = text.slice(at, at + 200);
  return /^(?:\/\*|['"/])/.test(start) ? text.slice(at) : start;
};

/** A slash begins a regular expression where a value may begin. */
function regexMayFollow(output: readonly string[]): boolean {
  const before = output.slice(-40).join('').trimEnd();
  return before === '' || /(?:[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|await|yield|void))$/.test(before);
}

/** What a module imports or re-exports from, types included. */
export function importsOf(text: string): readonly string[] {
  const code = codeOnly(text);
  const found = codeOnly(text, { strings: true }).matchAll(/\b(?:from|import)\s*\(?\s*(?:'([^'\n]+)'|"([^"\n]+)")/g);
  return [...found].filter(({ index }) => code[index] !== ' ').map((match) => match[1] ?? match[2] ?? '');
}

export type FunctionSpan = { readonly line: number; readonly lines: number };

/** Where functions, methods and arrow functions with a body begin (counted from 1), and how many lines they have. */
export function functionsOf(text: string): readonly FunctionSpan[] {
  const code = codeOnly(stripTypeScriptTypes(text));
  const spans: FunctionSpan[] = [];
  const open: { readonly at: number; readonly isFunction: boolean }[] = [];
  for (let at = 0; at < code.length; at++) {
    if (code[at] === '{') open.push({ at, isFunction: opensFunction(code.slice(0, at).trimEnd()) });
    if (code[at] !== '}') continue;
    const brace = open.pop();
    if (brace?.isFunction)
      spans.push({ line: lineOf(code, brace.at), lines: lineOf(code, at) - lineOf(code, brace.at) + 1 });
  }
  return spans;
}

const lineOf = (text: string, at: number): number => text.slice(0, at).split('\n').length;

function opensFunction(before: string): boolean {
  if (before.endsWith('=>')) return true;
  if (!before.endsWith(')')) return false;
  const head = before.slice(0, matchingParenthesis(before)).trimEnd();
  return !/\b(?:if|for|while|switch|catch|with|await)$/.test(head);
}

function matchingParenthesis(text: string): number {
  let depth = 0;
  for (let at = text.length - 1; at >= 0; at--) {
    if (text[at] === ')') depth++;
    if (text[at] === '(' && --depth === 0) return at;
  }
  return 0;
}
