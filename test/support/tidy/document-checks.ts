import { posix } from 'node:path';
import type { Findings } from './source-checks.ts';
import type { ProjectFile } from './source-text.ts';

/** Every error code has its line in `docs/errors.md`, and no heading there is about a code that does not exist. */
export function documentedErrors(files: readonly ProjectFile[], codes: readonly string[]): Findings {
  const page = textOf(files, 'docs/errors.md');
  const headings = [...page.matchAll(/^#+ +`?([A-Z][A-Z_]+)`?\s*$/gm)].map((match) => match[1] ?? '');
  return [
    ...codes
      .filter((code) => !new RegExp(`\\b${code}\\b`).test(page))
      .map((code) => `docs/errors.md says nothing of ${code}`),
    ...headings.filter((code) => !codes.includes(code)).map((code) => `docs/errors.md: there is no error ${code}`),
  ];
}

export const GUARANTEES = [
  ...['T1', 'T2', 'T3', 'T4', 'T5', 'T6', 'T7', 'T8'],
  ...['C1', 'C2', 'C3', 'C4', 'C5', 'C6'],
  ...['D1', 'D2', 'D3', 'D4', 'D5', 'D6', 'D7'],
] as const;

/** Every guarantee of `docs/guarantees.md` names test files, and those that it names exist. */
export function testedGuarantees(files: readonly ProjectFile[]): Findings {
  const page = textOf(files, 'docs/guarantees.md');
  const paths = new Set(files.map(({ path }) => path));
  return GUARANTEES.flatMap((name) => {
    const tests = [...sectionOf(page, name).matchAll(/`([\w./-]+\.test\.ts)`/g)].map((match) => match[1] ?? '');
    if (tests.length === 0) return [`docs/guarantees.md names no test of ${name}`];
    return tests.filter((path) => !paths.has(path)).map((path) => `docs/guarantees.md, ${name}: there is no ${path}`);
  });
}

/** From the line that begins with the guarantee's name to the line that begins with another's. */
function sectionOf(page: string, name: string): string {
  const lines = page.split('\n');
  const begins = (line: string) => /^[\s#*|>-]*([TCD]\d)\b/.exec(line)?.[1];
  let current: string | undefined;
  return lines
    .filter((line) => {
      current = begins(line) ?? current;
      return current === name;
    })
    .join('\n');
}

/** Relative links of Markdown pages lead to files that exist, and to headings that exist. */
export function resolvingLinks(files: readonly ProjectFile[], exists: (path: string) => boolean): Findings {
  return files
    .filter(({ path }) => path.endsWith('.md'))
    .flatMap((file) => linksOf(file.text).flatMap((link) => linkFindings(file, link, files, exists)));
}

function linkFindings(
  file: ProjectFile,
  link: string,
  files: readonly ProjectFile[],
  exists: (path: string) => boolean,
): Findings {
  const [target = '', anchor] = link.split('#');
  const path = target === '' ? file.path : posix.join(posix.dirname(file.path), decodeURIComponent(target));
  if (target !== '' && !exists(path)) return [`${file.path}: ${link} leads nowhere`];
  if (anchor === undefined || !path.endsWith('.md')) return [];
  return headingsOf(textOf(files, path)).includes(anchor) ? [] : [`${file.path}: ${link} names no heading`];
}

const linksOf = (text: string): readonly string[] =>
  [...proseOf(text).matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)/g)]
    .map((match) => match[1] ?? '')
    .filter((link) => !/^[a-z][a-z0-9+.-]*:/i.test(link));

/** Headings in the form in which links name them. */
const headingsOf = (text: string): readonly string[] =>
  [...withoutFences(text).matchAll(/^#+ +(.*?)\s*$/gm)].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );

const withoutFences = (text: string): string => text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '');

const proseOf = (text: string): string => withoutFences(text).replace(/`[^`\n]*`/g, '');

export const textOf = (files: readonly ProjectFile[], path: string): string =>
  files.find((file) => file.path === path)?.text ?? '';
