/** The options of a run that a scenario gets. */
export interface Run {
  /** Fewer rounds, for every change that lands. */
  readonly quick: boolean;
  /** An empty folder of the scenario's own. */
  readonly dir: string;
  /** Calls `undo` when the scenario has ended, however it ended; the last one first. */
  onEnd(undo: () => unknown): void;
  /** Shows how far it is, on a terminal. */
  progress(text: string): void;
}

/** The observations of a scenario, by name: one line of the report. */
export type Figures = Readonly<Record<string, string | number>>;

/** A promise, and the faults under which it is kept. */
export interface Scenario {
  readonly name: string;
  readonly promise: string;
  /** True: `--quick` includes the scenario. */
  readonly quick: boolean;
  /** A scenario has failed if it takes far longer than this; the limit is that of a machine with no other load. */
  readonly timeoutMs: number;
  /**
   * @throws Broken when the promise was not kept.
   * @throws Skipped when this machine lacks the means for the fault.
   */
  run(run: Run): Promise<Figures>;
}

/** The promise was not kept. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** This machine cannot show it; the message says what is missing. */
export class Skipped extends Error {
  override readonly name = 'Skipped';
}

/** @throws Broken saying so, unless `kept`. */
export function promised(kept: boolean, otherwise: string): void {
  if (!kept) throw new Broken(otherwise);
}
