/** How often things happened; a run in which nothing goes wrong proves nothing. */
export type JournalCounts = Record<
  | 'blocks'
  | 'crashes'
  | 'kills'
  | 'closings'
  | 'tornTails'
  | 'lostBlocks'
  | 'cuts'
  | 'completedCuts'
  | 'trims'
  | 'diskFull'
  | 'failures'
  | 'damages'
  | 'damagesNamed',
  number
>;

export const noCounts = (): JournalCounts => ({
  ...{ blocks: 0, crashes: 0, kills: 0, closings: 0, tornTails: 0, lostBlocks: 0, cuts: 0, completedCuts: 0 },
  ...{ trims: 0, diskFull: 0, failures: 0, damages: 0, damagesNamed: 0 },
});
