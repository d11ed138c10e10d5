import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { HOOK_NAMES, type Hooks } from '../client/hooks.ts';
import { SpeilError } from '../core/error.ts';

const HINT = `Export functions called ${HOOK_NAMES.join(', ')}; docs/client.md has an example.`;

/** Loads the hooks that a module exports, by name or in its default export. Throws `FILE_MISSING` or `USAGE`. */
export async function loadHooks(file: string): Promise<Hooks> {
  const path = resolve(file);
  if (!existsSync(path))
    throw new SpeilError('FILE_MISSING', `${file}: there is no such file.`, { hint: 'Check --hooks.' });
  const found = { ...(await imported(path, file)) };
  const named = Object.fromEntries(HOOK_NAMES.flatMap((name) => (name in found ? [[name, found[name]]] : [])));
  if (Object.keys(named).length === 0) throw new SpeilError('USAGE', `${file} exports no hook.`, { hint: HINT });
  for (const [name, hook] of Object.entries(named)) {
    if (typeof hook !== 'function') throw new SpeilError('USAGE', `${name} of ${file} is no function.`, { hint: HINT });
  }
  return named as Hooks;
}

async function imported(path: string, file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const module = (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
    const { default: all } = module;
    return typeof all === 'object' && all !== null ? { ...(all as Record<string, unknown>), ...module } : module;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SpeilError('USAGE', `${file} cannot be loaded: ${why}`, { hint: HINT, cause });
  }
}
