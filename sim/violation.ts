/** A promise was broken: the result of a run is wrong. Any other error is a defect of the simulator, or of what it runs. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

export function must(condition: boolean, what: () => string): asserts condition {
  if (!condition) throw new Violation(what());
}
