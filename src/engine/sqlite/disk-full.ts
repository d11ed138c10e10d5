import { SpeilError } from '../../core/error.ts';

/** Of the journal, of the operating system, or of SQLite in its own words. */
export function isDiskFull(error: unknown): boolean {
  if (error instanceof SpeilError) return error.code === 'DISK_FULL';
  return error instanceof Error && /\bENOSPC\b|\bEDQUOT\b|disk is full/.test(`${codeOf(error)} ${error.message}`);
}

const codeOf = (error: Error): string => ('code' in error ? String(error.code) : '');
