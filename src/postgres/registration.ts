import { createHash } from 'node:crypto';
import type { AnyFlow, StepDefinition } from '../flow/flow.js';
import type { FlowRegistration, StepRegistration } from './store.js';

/**
 * What the database keeps of a flow. A step's signature says what a worker must agree on to execute
 * it; the shape, made of all of them, is what a version of the flow is.
 */
export function registrationOf(flow: AnyFlow): FlowRegistration {
  const indexOf = new Map(flow.steps.map((step) => [step.slug, step.index]));
  const steps = flow.steps.map(
    (step): StepRegistration => ({
      ...step.options,
      slug: step.slug,
      kind: step.kind,
      dependsOn: step.dependsOn.map((slug) => indexOf.get(slug)!),
      over: step.over === null ? null : indexOf.get(step.over)!,
      signature: signatureOf(step),
    }),
  );
  const shape = digest(steps.map((step) => [step.slug, step.signature]));
  return { slug: flow.slug, kind: flow.kind, shape, steps };
}

function signatureOf(step: StepDefinition): string {
  return digest([step.kind, [...step.dependsOn].sort(), step.over]);
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 32);
}
