import { DatabaseName } from '../databases/database-name.ts';

/** What a path asks for. Nothing in a path of ours is ever percent-encoded. */
export type Route =
  | { readonly kind: 'health' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'metrics' }
  /** Without `/admin/`. */
  | { readonly kind: 'admin'; readonly parts: readonly string[] }
  /**
   * The clients' protocol. `database` null: the only one there is. `path` within it: `/`, or `/v2`, `/v3/pipeline` and
   * the like, which only the protocol judges.
   */
  | { readonly kind: 'client'; readonly database: DatabaseName | null; readonly path: string }
  | { readonly kind: 'none' };

const FIXED: ReadonlyMap<string, Route> = new Map([
  ['/healthz', { kind: 'health' }],
  ['/readyz', { kind: 'ready' }],
  ['/metrics', { kind: 'metrics' }],
]);

/** Longer than any path of ours. */
const PATH_CHARACTERS_MAX = 200;

const CLIENT = /^(?:\/([^/]+))?(\/(?:v\d+(?:-protobuf)?(?:\/[a-z]+)?)?)$/;
const VERSION = /^\/v\d+(?:-protobuf)?$/;

/** Asks whether a version of the protocol is spoken. */
export const isVersionCheck = (method: string | undefined, path: string): boolean =>
  method === 'GET' && VERSION.test(path);

const ADMIN = /^\/admin((?:\/[\w-]+)+)$/;

export function routeOf(url: string): Route {
  const path = url.split('?', 1)[0] ?? '';
  if (path.length > PATH_CHARACTERS_MAX) return { kind: 'none' };
  const admin = ADMIN.exec(path)?.[1];
  if (admin !== undefined) return { kind: 'admin', parts: admin.slice(1).split('/') };
  return FIXED.get(path) ?? clientRoute(path);
}

function clientRoute(path: string): Route {
  const [whole, name, within = '/'] = CLIENT.exec(path) ?? [];
  if (whole === undefined || (name !== undefined && !DatabaseName.is(name))) return { kind: 'none' };
  return { kind: 'client', database: name ?? null, path: within };
}
