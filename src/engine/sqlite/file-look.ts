import { statSync } from 'node:fs';
import type { FileLook } from './state.ts';

/** Null when there is no such file. */
export function lookAt(path: string): FileLook | null {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? null : { bytes: stat.size, modifiedNs: stat.mtimeNs, changedNs: stat.ctimeNs };
}

export const sameLook = (a: FileLook, b: FileLook | null): boolean =>
  b !== null && a.bytes === b.bytes && a.modifiedNs === b.modifiedNs && a.changedNs === b.changedNs;
