import { randomUUID } from 'node:crypto';
import type { Random } from '../core/clock.ts';

export const systemRandom: Random = { uuid: () => randomUUID(), unit: () => Math.random() };
