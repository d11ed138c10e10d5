import { createMirrorClient } from '../../src/client/mirror-client.ts';
import type { MirrorDatabase, MirrorTransaction } from '../../src/database/mirror-database.ts';
import type { SourceDatabase, SourceSnapshot } from '../../src/database/source-database.ts';
import { Ends, runtime, thisProcess } from '../../src/open.ts';
import type { MirrorClientService } from '../../src/task/contract.ts';
import { runTask } from '../../src/task/mirroring-task.ts';
import { PREFERENCES_DEFAULT } from '../../src/task/preferences.ts';
import type { CycleReport, TaskEvent } from '../../src/task/report.ts';
import type { Schedule } from '../../src/task/schedule.ts';

const CLIENT_CALLS = ['authenticate', 'tableSchema', 'wipe', 'rowData', 'replicationCompleted'] as const;
const SOURCE_CALLS = ['enableTracking', 'judge', 'leaveBookmark', 'copyStart', 'openSnapshot', 'prune'] as const;
const MIRROR_CALLS = ['createTable', 'load', 'buildKey', 'apply', 'deleteAll', 'swap', 'saveMetadata'] as const;
const CHUNKS = ['copy', 'changes', 'rows'] as const;

type Call = (typeof CLIENT_CALLS)[number] | (typeof SOURCE_CALLS)[number] | (typeof MIRROR_CALLS)[number] | 'commit';

/** A moment in the life of a task: around each call between its parts, and between two chunks of a source. */
export type TaskPoint = `before ${Call}` | `after ${Call}` | `chunk of ${(typeof CHUNKS)[number]}`;

const around = (calls: readonly Call[]): readonly TaskPoint[] =>
  calls.flatMap((call): TaskPoint[] => [`before ${call}`, `after ${call}`]);

export const TASK_POINTS: readonly TaskPoint[] = [
  ...around([...CLIENT_CALLS, ...SOURCE_CALLS, ...MIRROR_CALLS, 'commit']),
  ...CHUNKS.map((chunk): TaskPoint => `chunk of ${chunk}`),
];

/** Called at every point, and waited for. */
export type Reach = (point: TaskPoint) => void | Promise<void>;

type Method = (...args: readonly unknown[]) => unknown;

/** The same object with other methods in the place of some. The methods that are left find their private fields. */
function replacing<T extends object>(target: T, replace: (name: string, method: Method) => Method | null): T {
  const get = (object: T, name: string | symbol): unknown => {
    const value: unknown = Reflect.get(object, name, object);
    if (typeof value !== 'function') return value;
    const method: Method = (...args) => Reflect.apply(value, object, args);
    return replace(String(name), method) ?? method;
  };
  return new Proxy(target, { get });
}

const reaching =
  (reach: Reach, calls: readonly Call[]) =>
  (name: string, method: Method): Method | null => {
    const call = calls.find((candidate) => candidate === name);
    if (call === undefined) return null;
    return async (...args) => {
      await reach(`before ${call}`);
      const result = await method(...args);
      await reach(`after ${call}`);
      return result;
    };
  };

/** A method that hands out chunks; between two of them there is a point. */
const reachingChunks =
  (reach: Reach) =>
  (name: string, method: Method): Method | null => {
    const chunk = CHUNKS.find((candidate) => candidate === name);
    if (chunk === undefined) return null;
    return async function* (...args) {
      for await (const value of method(...args) as AsyncIterable<unknown>) {
        yield value;
        await reach(`chunk of ${chunk}`);
      }
    };
  };

function sourceReaching(source: SourceDatabase, reach: Reach): SourceDatabase {
  const chunks = reachingChunks(reach);
  const calls = reaching(reach, SOURCE_CALLS);
  return replacing(source, (name, method) => {
    const reached = chunks(name, method) ?? calls(name, method);
    if (name !== 'openSnapshot' || reached === null) return reached;
    return async (...args) => replacing((await reached(...args)) as SourceSnapshot, chunks);
  });
}

const mirrorReaching = (mirror: MirrorDatabase, reach: Reach): MirrorDatabase =>
  replacing(mirror, (name, method) => {
    if (name !== 'transaction') return null;
    return async (options, work) => {
      const withinIt = async (tx: MirrorTransaction) => {
        const result = await (work as (tx: MirrorTransaction) => Promise<unknown>)(
          replacing(tx, reaching(reach, MIRROR_CALLS)),
        );
        await reach('before commit');
        return result;
      };
      const result = await method(options, withinIt);
      await reach('after commit');
      return result;
    };
  });

export type ComposedTask = {
  readonly source: string;
  readonly mirror: string;
  readonly reach: Reach;
  readonly batchBytes?: number;
  readonly schedule?: Schedule;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TaskEvent) => void;
};

/** A task as `mirror` composes it, with `reach` called at every point. Production code has no hooks for this. */
export async function composedTask(task: ComposedTask): Promise<CycleReport> {
  const { reach, batchBytes = PREFERENCES_DEFAULT.batchBytes, schedule = { kind: 'once' } } = task;
  const tenant = 'speil';
  await using ends = await Ends.open(task, { tenant });
  await using _held = await ends.mirror.hold(thisProcess());
  const mirror = mirrorReaching(ends.mirror, reach);
  const client: MirrorClientService = createMirrorClient({ mirror, tenant, clock: runtime.clock, build: 'test' });
  const context = {
    ...runtime,
    source: sourceReaching(ends.source, reach),
    client: replacing(client, reaching(reach, CLIENT_CALLS)),
    tenant,
    preferences: { ...PREFERENCES_DEFAULT, batchBytes },
    selection: { schemas: null },
    takeOver: false,
    emit: task.onEvent ?? (() => undefined),
    signal: task.signal ?? new AbortController().signal,
  };
  return await runTask(context, schedule);
}
