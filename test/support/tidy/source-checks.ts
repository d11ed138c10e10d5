import { posix } from 'node:path';
import { codeOnly, functionsOf, importsOf, type ProjectFile } from './source-text.ts';

/** Everything that a check finds wrong, one line each; empty when all is well. */
export type Findings = readonly string[];

export const FILE_LINES_MAX = 450;
export const FUNCTION_LINES_MAX = 70;

const SERVICES = [
  ...['core', 'database', 'task', 'client', 'operation-center', 'verification'],
  ...['journal', 'engine', 'server', 'service'],
];

/** What each folder of `src` may import from. `entry` are the files directly in `src`. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  core: ['core'],
  runtime: ['core', 'runtime'],
  database: ['core', 'database'],
  task: ['core', 'database', 'task'],
  service: ['core', 'service'],
  client: ['core', 'service', 'database', 'task', 'client'],
  verification: ['core', 'database', 'verification'],
  'operation-center': ['core', 'service', 'database', 'task', 'client', 'operation-center'],
  journal: ['core', 'journal'],
  engine: ['core', 'journal', 'engine'],
  server: ['core', 'service', 'journal', 'engine', 'server'],
  entry: [...SERVICES, 'runtime', 'entry'],
  cli: [...SERVICES, 'runtime', 'entry', 'cli'],
};

/** Folders that know databases only by their interfaces, never one in particular. */
const KNOWS_NO_DATABASE = ['task', 'client', 'operation-center'];

export const isTest = (path: string): boolean => path.endsWith('.test.ts');

const isSource = ({ path }: ProjectFile): boolean => /^src\/.*\.ts$/.test(path) && !isTest(path);

const layerOf = (path: string): string => /^src\/([^/]+)\//.exec(path)?.[1] ?? 'entry';

/** `postgres` for `src/database/postgres/types.ts`; null for what belongs to no database in particular. */
const databaseOf = (path: string): string | null => /^src\/database\/([^/]+)\//.exec(path)?.[1] ?? null;

export const importDirections = (files: readonly ProjectFile[]): Findings =>
  files.filter(isSource).flatMap((file) =>
    importsOf(file.text)
      .filter((target) => target.startsWith('.'))
      .map((target) => posix.join(posix.dirname(file.path), target))
      .flatMap((target) => objections(file.path, target).map((why) => `${file.path} imports ${target}: ${why}`)),
  );

function objections(from: string, to: string): Findings {
  if (!to.startsWith('src/')) return ['it is not part of src'];
  if (isTest(to)) return ['it is a test'];
  const [layer, target] = [layerOf(from), layerOf(to)];
  const allowed = LAYERS[layer];
  if (allowed === undefined) return [`there is no rule for src/${layer}`];
  if (!allowed.includes(target)) return [`${layer} must not know ${target}`];
  const other = databaseOf(to);
  if (other === null || other === databaseOf(from)) return [];
  if (databaseOf(from) !== null) return ['databases do not know each other'];
  return KNOWS_NO_DATABASE.includes(layer) ? [`${layer} must not know a database in particular`] : [];
}

/** `new Date(value)` is arithmetic: only the bare call asks a clock. */
const CLOCKS: readonly RegExp[] = [
  /\bDate\.now\b/,
  /\bperformance\.(?:now|timeOrigin)\b/,
  /\bprocess\.hrtime\b/,
  /\bset(?:Timeout|Interval)\b/,
  /\bAbortSignal\.timeout\b/,
  /\bMath\.random\b/,
  /\brandomUUID\b/,
  /\bnew Date\b(?!\s*\(\s*[^)\s])/,
  /(?<!new |[.\w])Date\(/,
];

/** Time and chance come in by `src/runtime`. */
export const clockRule = (files: readonly ProjectFile[]): Findings =>
  files
    .filter((file) => isSource(file) && layerOf(file.path) !== 'runtime')
    .flatMap((file) => [
      ...matchingLines(codeOnly(file.text), CLOCKS).map((found) => `${file.path}:${found}: belongs in src/runtime`),
      ...importsOf(file.text)
        .filter((target) => /^(?:node:)?timers/.test(target))
        .map((target) => `${file.path} imports ${target}: belongs in src/runtime`),
    ]);

function matchingLines(code: string, patterns: readonly RegExp[]): Findings {
  return code.split('\n').flatMap((line, index) =>
    patterns.flatMap((pattern) => {
      const match = pattern.exec(line);
      return match === null ? [] : [`${index + 1} ${match[0].trim()}`];
    }),
  );
}

/** Files of `src` that are too long to be read in one sitting. */
export const fileLengths = (files: readonly ProjectFile[]): Findings =>
  files
    .filter(({ path }) => /^(?:src|sim|test|demo|bench|scripts)\/.*\.ts$/.test(path))
    .map(({ path, text }) => ({ path, lines: text.trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > FILE_LINES_MAX)
    .map(({ path, lines }) => `${path}: ${lines} lines, at most ${FILE_LINES_MAX}`);

export const functionLengths = (files: readonly ProjectFile[]): Findings =>
  files.filter(isSource).flatMap(({ path, text }) =>
    functionsOf(text)
      .filter(({ lines }) => lines > FUNCTION_LINES_MAX)
      .map(({ line, lines }) => `${path}:${line}: a function of ${lines} lines, at most ${FUNCTION_LINES_MAX}`),
  );

const PARTIAL_RUNS: readonly RegExp[] = [
  /\.(?:only|skip|todo)\s*\(/,
  /\b(?:test|it|describe|suite)\s*\([^\n]*\{[^}\n]*\b(?:only|skip|todo)\s*:/,
];

/** Tests run, all of them, always. */
export const wholeTests = (files: readonly ProjectFile[]): Findings =>
  files
    .filter(({ path }) => isTest(path))
    .flatMap(({ path, text }) =>
      matchingLines(codeOnly(text), PARTIAL_RUNS).map((found) => `${path}:${found}: runs a part of the tests`),
    );

const UNFINISHED = [/\b(?:TODO|FIXME|XXX|HACK)\b/];

export const finishedSource = (files: readonly ProjectFile[]): Findings =>
  files
    .filter(({ path }) => path.startsWith('src/'))
    .flatMap(({ path, text }) => matchingLines(text, UNFINISHED).map((found) => `${path}:${found}: finish it`));

const LEFTOVERS: readonly RegExp[] = [
  /(?<![\w.$}~-])\/(?:work|root|home|Users)\/\w[\w./-]*/,
  /\b[A-Z]:\\Users\\/,
  /\bCo-Authored-By:/i,
  /\bGenerated (?:with|using) /i,
  /^(?:<{7}|>{7}) /,
];

/** Paths of somebody's machine, signatures of tools and marks of unfinished merges. */
export const noLeftovers = (files: readonly ProjectFile[]): Findings =>
  files.flatMap(({ path, text }) =>
    matchingLines(text, LEFTOVERS).map((found) => `${path}:${found}: not for other readers`),
  );
