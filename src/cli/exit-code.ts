import type { ErrorCode } from '../core/error.ts';

export const EXIT_DONE = 0;
/** A cycle or a table failed. */
export const EXIT_FAILED = 1;
/** Usage or configuration: nothing was begun. */
export const EXIT_USAGE = 2;
/** `verify` found differences, repaired or not. */
export const EXIT_DIFFERENT = 3;
export const EXIT_INTERRUPTED = 130;

const USAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  'USAGE',
  'UNKNOWN_SCHEME',
  'FILE_MISSING',
  'NOT_A_DATABASE',
  'SAME_DATABASE',
  'NOT_A_MIRROR',
  'INSECURE_LISTEN',
] as const);

export function exitCodeOf(code: ErrorCode): number {
  if (code === 'INTERRUPTED') return EXIT_INTERRUPTED;
  return USAGE_CODES.has(code) ? EXIT_USAGE : EXIT_FAILED;
}
