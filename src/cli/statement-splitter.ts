/** What SQLite's own `sqlite3_complete` tells apart. */
type Token = 'semicolon' | 'space' | 'other' | 'explain' | 'create' | 'temp' | 'trigger' | 'end';

const TOKENS: readonly Token[] = ['semicolon', 'space', 'other', 'explain', 'create', 'temp', 'trigger', 'end'];

/**
 * The states of `sqlite3_complete` (SQLite's complete.c) and where each token leads: a semicolon within the body of a trigger
 * ends no statement, unless END stands before it. In state 1 a statement is complete.
 */
const NEXT: readonly (readonly number[])[] = [
  [1, 0, 2, 3, 4, 2, 2, 2],
  [1, 1, 2, 3, 4, 2, 2, 2],
  [1, 2, 2, 2, 2, 2, 2, 2],
  [1, 3, 3, 2, 4, 2, 2, 2],
  [1, 4, 2, 2, 2, 4, 5, 2],
  [6, 5, 5, 5, 5, 5, 5, 5],
  [6, 6, 5, 5, 5, 5, 5, 7],
  [1, 7, 5, 5, 5, 5, 5, 5],
];
const START = 1;

const LEXEME =
  /;|\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\p{L}_\p{N}$]+|(?!\/\*)[^'"`[\s;]/uy;

/** Ends in the middle of what may be one lexeme: more text may follow. */
const MAY_GO_ON = /^(?:--|-$|\/$|\/\*|['"`[]|[\p{L}_\p{N}$]+$)/u;

/**
 * Cuts a text that comes in pieces into statements, each with its semicolon. What a piece ends in the middle of waits for the
 * next one.
 */
export class StatementSplitter {
  #text = '';
  /** Up to where the text was looked at, and the state there. */
  #at = 0;
  #state = START;

  /** The statements that are complete now. */
  push(piece: string): readonly string[] {
    this.#text += piece;
    const complete: string[] = [];
    for (let lexeme = this.#next(); lexeme !== null; lexeme = this.#next()) {
      this.#at += lexeme.length;
      this.#state = NEXT[this.#state]?.[TOKENS.indexOf(tokenOf(lexeme))] ?? START;
      if (lexeme === ';' && this.#state === START) complete.push(this.#cut());
    }
    return complete.filter((statement) => !isEmpty(statement));
  }

  /** True when nothing but white space and comments is left. */
  get isEmpty(): boolean {
    return isEmpty(this.#text);
  }

  /** What is left, as a statement without its semicolon; null when there is nothing. */
  end(): string | null {
    const rest = this.#text.trim();
    this.#text = '';
    this.#at = 0;
    this.#state = START;
    return isEmpty(rest) ? null : rest;
  }

  #cut(): string {
    const statement = this.#text.slice(0, this.#at).trim();
    this.#text = this.#text.slice(this.#at);
    this.#at = 0;
    return statement;
  }

  /** Null when the text ends before it is known where the lexeme does. */
  #next(): string | null {
    if (this.#at >= this.#text.length) return null;
    LEXEME.lastIndex = this.#at;
    const [lexeme] = LEXEME.exec(this.#text) ?? [];
    if (lexeme === undefined) return null;
    const isLast = this.#at + lexeme.length === this.#text.length;
    return isLast && MAY_GO_ON.test(lexeme) ? null : lexeme;
  }
}

const KEYWORDS: Readonly<Record<string, Token>> = {
  explain: 'explain',
  create: 'create',
  temp: 'temp',
  temporary: 'temp',
  trigger: 'trigger',
  end: 'end',
};

function tokenOf(lexeme: string): Token {
  if (lexeme === ';') return 'semicolon';
  if (/^(?:\s|--|\/\*)/.test(lexeme)) return 'space';
  return (Object.hasOwn(KEYWORDS, lexeme.toLowerCase()) ? KEYWORDS[lexeme.toLowerCase()] : undefined) ?? 'other';
}

const isEmpty = (text: string): boolean => /^(?:\s|;|--[^\n]*(?:\n|$)|\/\*[\s\S]*?(?:\*\/|$))*$/.test(text);
