import { type AnyFlow, defineFlow, defineJob } from 'pgflow-live';

/** Each call of its handler waits until it is opened. */
export interface Gate {
  open(): void;
}

/** A job that does nothing, one that waits at a gate, and a flow of ten steps that stops after its first for an hour. */
export function liveFlows() {
  const waiting: (() => void)[] = [];
  const job = defineJob({ slug: 'job' }, ({ input }: { input: { n: number } }) => input.n);
  const gated = defineJob({ slug: 'gated' }, async ({ input }: { input: { n: number } }) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return input.n;
  });
  const gate: Gate = {
    open() {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
  return { job, gated, gate, tenSteps: tenSteps() };
}

/** The second step's delay, seconds: longer than any measurement. */
const FOR_LATER = 3600;

function tenSteps(): AnyFlow {
  return defineFlow<{ orderId: string }>({ slug: 'ten_steps' })
    .step('step_1', () => ({ total: 41, ok: true }))
    .step('step_2', { dependsOn: ['step_1'], startDelay: FOR_LATER }, () => ({ total: 42, ok: true }))
    .step('step_3', { dependsOn: ['step_2'] }, () => ({ total: 43, ok: true }))
    .step('step_4', { dependsOn: ['step_3'] }, () => ({ total: 44, ok: true }))
    .step('step_5', { dependsOn: ['step_4'] }, () => ({ total: 45, ok: true }))
    .step('step_6', { dependsOn: ['step_5'] }, () => ({ total: 46, ok: true }))
    .step('step_7', { dependsOn: ['step_6'] }, () => ({ total: 47, ok: true }))
    .step('step_8', { dependsOn: ['step_7'] }, () => ({ total: 48, ok: true }))
    .step('step_9', { dependsOn: ['step_8'] }, () => ({ total: 49, ok: true }))
    .step('step_10', { dependsOn: ['step_9'] }, () => ({ total: 50, ok: true }));
}
