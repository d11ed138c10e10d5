import { constants } from 'node:sqlite';
import { judgePragma } from '../streams/pragmas.ts';

/** What SQLite is about to compile, as it tells an authorizer. */
export type Action = {
  readonly code: number;
  readonly first: string | null;
  readonly second: string | null;
  /** `main`, `temp`, or none. */
  readonly schema: string | null;
};

/** What a statement does beyond reading (`both`: `write` and `state`); `refused` with the reason, for people. */
export type ActionVerdict =
  | { readonly kind: 'none' | 'write' | 'temp' | 'state' | 'both' }
  | { readonly kind: 'refused'; readonly why: string };

const WRITING: ReadonlySet<number> = new Set([
  constants.SQLITE_INSERT,
  constants.SQLITE_UPDATE,
  constants.SQLITE_DELETE,
  constants.SQLITE_CREATE_INDEX,
  constants.SQLITE_CREATE_TABLE,
  constants.SQLITE_CREATE_TRIGGER,
  constants.SQLITE_CREATE_VIEW,
  constants.SQLITE_CREATE_VTABLE,
  constants.SQLITE_DROP_INDEX,
  constants.SQLITE_DROP_TABLE,
  constants.SQLITE_DROP_TRIGGER,
  constants.SQLITE_DROP_VIEW,
  constants.SQLITE_DROP_VTABLE,
  constants.SQLITE_ALTER_TABLE,
  constants.SQLITE_REINDEX,
  constants.SQLITE_ANALYZE,
]);

const TEMPORARY: ReadonlySet<number> = new Set([
  constants.SQLITE_CREATE_TEMP_INDEX,
  constants.SQLITE_CREATE_TEMP_TABLE,
  constants.SQLITE_CREATE_TEMP_TRIGGER,
  constants.SQLITE_CREATE_TEMP_VIEW,
  constants.SQLITE_DROP_TEMP_INDEX,
  constants.SQLITE_DROP_TEMP_TABLE,
  constants.SQLITE_DROP_TEMP_TRIGGER,
  constants.SQLITE_DROP_TEMP_VIEW,
]);

const NONE: ActionVerdict = { kind: 'none' };
const WRITE: ActionVerdict = { kind: 'write' };
const TEMP: ActionVerdict = { kind: 'temp' };
const refused = (why: string): ActionVerdict => ({ kind: 'refused', why });

/** `isVacuum`: SQLite carries out a VACUUM, for which it attaches a file without a name. */
export function judgeAction({ code, first, second, schema }: Action, isVacuum: boolean): ActionVerdict {
  if (code === constants.SQLITE_READ || code === constants.SQLITE_SELECT) return NONE;
  if (WRITING.has(code)) return schema === 'temp' ? TEMP : WRITE;
  if (TEMPORARY.has(code)) return TEMP;
  if (code === constants.SQLITE_PRAGMA) return judgePragmaAction(first ?? '', second);
  if (code === constants.SQLITE_ATTACH) return judgeAttach(first, isVacuum);
  if (code === constants.SQLITE_DETACH) return refused('DETACH is refused: nothing is attached');
  if (code === constants.SQLITE_FUNCTION && second?.toLowerCase() === 'load_extension') {
    return refused('load_extension() is refused: code from elsewhere could undermine the journal');
  }
  return NONE;
}

function judgePragmaAction(name: string, argument: string | null): ActionVerdict {
  const verdict = judgePragma(name, argument);
  if (verdict.kind === 'refused') return verdict;
  return verdict.kind === 'read' ? NONE : { kind: verdict.kind };
}

function judgeAttach(file: string | null, isVacuum: boolean): ActionVerdict {
  if (!isVacuum) {
    return refused(
      'ATTACH is refused: each database of the server has its own journal; open a stream on the other one',
    );
  }
  return file === '' ? NONE : refused('VACUUM INTO is refused: take a copy with "speil backup" instead');
}
