import { type AnyFlow, defineFlow, defineJob } from 'pgflow-live';
import type { Work } from '../measured/assignment.js';

export interface BenchFlows {
  /** What `startOne` starts for each work, and with which input. */
  readonly of: Readonly<Partial<Record<Work, { flow: AnyFlow; input(n: number): unknown }>>>;
  readonly flows: readonly AnyFlow[];
  readonly jobs: readonly AnyFlow[];
}

/** The flows that are measured. Handlers do next to nothing: the engine is what is measured. */
export function benchFlows(began: () => void): BenchFlows {
  const linear = defineFlow<{ n: number }>({ slug: 'linear' })
    .step('a', ({ input }) => input.n)
    .step('b', { dependsOn: ['a'] }, ({ deps }) => deps.a + 1)
    .step('c', { dependsOn: ['b'] }, ({ deps }) => {
      began();
      return deps.b + 1;
    });
  const dag = defineFlow<{ n: number }>({ slug: 'dag' })
    .step('a', ({ input }) => input.n)
    .step('b', { dependsOn: ['a'] }, ({ deps }) => deps.a + 1)
    .step('c', { dependsOn: ['a'] }, ({ deps }) => deps.a + 2)
    .step('d', { dependsOn: ['a'] }, ({ deps }) => deps.a + 3)
    .step('e', { dependsOn: ['b', 'c', 'd'] }, ({ deps }) => {
      began();
      return deps.b + deps.c + deps.d;
    });
  const map = defineFlow<number[]>({ slug: 'map' }).map('each', ({ item }) => {
    began();
    return item + 1;
  });
  const job = defineJob({ slug: 'job' }, ({ input }: { input: { n: number } }) => {
    began();
    return input.n;
  });
  const oneJob = { flow: job, input: (n: number) => ({ n }) };
  return {
    of: {
      linear: { flow: linear, input: (n) => ({ n }) },
      dag: { flow: dag, input: (n) => ({ n }) },
      map: { flow: map, input: (n) => Array.from({ length: n }, (_, i) => i) },
      bulk: oneJob,
      'one-by-one': oneJob,
      enqueue: oneJob,
      idle: oneJob,
    },
    flows: [linear, dag, map],
    jobs: [job],
  };
}

/** A job that the measured workers have no handler for. */
export const foreignJob = defineJob({ slug: 'foreign' }, ({ input }: { input: { n: number } }) => input.n);
