import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProjectFile } from './source-text.ts';

export const PROJECT_ROOT = fileURLToPath(new URL('../../../', import.meta.url));

const NOT_OURS = new Set(['node_modules', '.git', 'dist', 'out', '.tmp', 'package-lock.json']);

const IS_TEXT = /\.(?:ts|js|mjs|json|md|yml|yaml|sh|sql|txt)$|(?:^|\/)(?:run|LICENSE|\.gitignore|\.npmrc)$/;

/** Every text file of the project, in a fixed order. */
export function projectFiles(folder = ''): readonly ProjectFile[] {
  return readdirSync(join(PROJECT_ROOT, folder), { withFileTypes: true })
    .filter(({ name }) => !NOT_OURS.has(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) return projectFiles(path);
      if (!entry.isFile() || !IS_TEXT.test(path)) return [];
      return [{ path, text: readFileSync(join(PROJECT_ROOT, path), 'utf8') }];
    });
}
