import type { Clock, Random } from '../../core/clock.ts';
import type { Disk } from '../../core/disk.ts';
import type { Log } from '../../service/log.ts';
import type { StoreObserver } from './served-database.ts';

/** What the databases of a data folder are opened with. */
export type StoreParts = {
  readonly folder: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly observer: StoreObserver;
};
