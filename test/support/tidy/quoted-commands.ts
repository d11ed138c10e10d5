import type { Findings } from './source-checks.ts';
import type { ProjectFile } from './source-text.ts';

/** A command as a page quotes it, in a block of shell lines or in running text. */
export type QuotedCommand = { readonly path: string; readonly words: readonly string[] };

/** What the quoted commands are held against. */
export type KnownCommands = {
  /** Scripts of package.json. */
  readonly scripts: readonly string[];
  /** What `speil help <words>` prints, no words for `speil --help`; null where there is no such command. */
  readonly help: (words: readonly string[]) => string | null;
  readonly exists: (path: string) => boolean;
};

const SHELL_BLOCK = /^(?:```|~~~)(?:sh|bash|shell|console)?[ \t]*\n([\s\S]*?)^(?:```|~~~)/gm;
const OTHER_BLOCK = /^(?:```|~~~)[\s\S]*?^(?:```|~~~)/gm;

export function quotedCommands({ path, text }: ProjectFile): readonly QuotedCommand[] {
  const blocks = [...text.matchAll(SHELL_BLOCK)].flatMap((match) =>
    (match[1] ?? '').replaceAll('\\\n', ' ').split('\n'),
  );
  const indented = [...text.matchAll(/^ {4}(\S.*)$/gm)].map((match) => match[1] ?? '');
  const inline = [...text.replace(OTHER_BLOCK, '').matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
  return [...blocks, ...indented, ...inline]
    .flatMap((line) => line.replace(/(?:^|\s)#.*$/, '').split(/&&|\|\||[|;]/))
    .map((command) => wordsOf(command))
    .filter(([program = '']) => ['npm', 'speil', 'node'].includes(program))
    .map((words) => ({ path, words }));
}

/** Without the prompt, without assignments before the command and without `npx`. */
const wordsOf = (command: string): readonly string[] =>
  command
    .trim()
    .replace(/^\$ /, '')
    .replace(/^(?:[A-Z_]+=\S*\s+)*(?:npx (?:--yes )?)?/, '')
    .split(/\s+/);

export const workingCommands = (commands: readonly QuotedCommand[], known: KnownCommands): Findings =>
  commands.flatMap((command) =>
    objectionTo(command.words, known).map((why) => `${command.path}: \`${command.words.join(' ')}\`: ${why}`),
  );

function objectionTo([program, ...rest]: readonly string[], known: KnownCommands): Findings {
  if (program === 'npm') return scriptObjection(rest, known.scripts);
  if (program === 'speil') return speilObjections(rest, known);
  const [file] = rest;
  return file === undefined || !/^[\w.-]+\/.*\.[jt]s$/.test(file) || known.exists(file) ? [] : [`there is no ${file}`];
}

function scriptObjection([verb, name = '']: readonly string[], scripts: readonly string[]): Findings {
  if (verb === 'test' && !scripts.includes('test')) return ['there is no script test'];
  return verb === 'run' && !/[…<]/.test(name) && !scripts.includes(name.replace(/[.,]$/, ''))
    ? [`there is no script ${name}`]
    : [];
}

function speilObjections(words: readonly string[], { help }: KnownCommands): Findings {
  const typed = words[0] === 'help' ? words.slice(1) : words;
  const names = namesIn(typed);
  if (names.length === 0 && /[…<]/.test(typed[0] ?? '')) return [];
  const page = help(names);
  if (page === null) return [`there is no command ${names[0]}`];
  const [, path = ''] = /^Usage: speil((?: [a-z-]+)*)/.exec(page) ?? [];
  const stranger = names[path.split(' ').length - 1];
  if (stranger !== undefined && /^Commands:$/m.test(page)) return [`there is no command ${stranger}`];
  const flags = words.flatMap((word) => /--[a-z][a-z-]*/.exec(word)?.[0] ?? []);
  return flags.filter((flag) => !new RegExp(`${flag}(?![\\w-])`).test(page)).map((flag) => `there is no ${flag}`);
}

/** The words at the beginning that may name a command and those within it. */
export function namesIn(words: readonly string[]): readonly string[] {
  const end = words.findIndex((word) => !/^[a-z][a-z-]*$/.test(word));
  return end === -1 ? words : words.slice(0, end);
}
