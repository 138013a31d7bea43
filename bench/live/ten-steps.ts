/** A run of ten steps, one after the other, each begun in one change and completed in the next. */
export const STEPS = 10;
/** The seq at which it has completed. */
export const LAST_SEQ = 2 * STEPS + 1;
export const HALF_SEQ = STEPS + 1;
export const FLOW = 'ten_steps';
export const INPUT = { orderId: 'order-1234567' };

const BEGAN = Date.UTC(2026, 0, 1);

export function slugOf(step: number): string {
  return `step_${step}`;
}

export function outputOf(step: number): { total: number; ok: boolean } {
  return { total: 40 + step, ok: true };
}

/** When the run was at this seq, as JSON has it. */
export function timeAt(seq: number): string {
  return new Date(BEGAN + seq * 1000).toISOString();
}

/** One step at a seq, whatever a client calls these values. */
export interface StepAt {
  readonly step: number;
  readonly status: 'created' | 'started' | 'completed';
  readonly isReady: boolean;
  readonly startedAt: string | null;
  readonly completedAt: string | null;
  /** The seq that touched it last. */
  readonly touched: number;
}

export function stepAt(step: number, seq: number): StepAt {
  const [ready, started, completed] = [2 * step - 1, 2 * step, 2 * step + 1];
  return {
    step,
    status: seq >= completed ? 'completed' : seq >= started ? 'started' : 'created',
    isReady: seq >= ready,
    startedAt: seq >= started ? timeAt(started) : null,
    completedAt: seq >= completed ? timeAt(completed) : null,
    touched: [completed, started, ready].find((at) => at <= seq) ?? 1,
  };
}

export function stepsAt(seq: number): StepAt[] {
  return Array.from({ length: STEPS }, (_, n) => stepAt(n + 1, seq));
}
