import { createHash } from 'node:crypto';
import type { AnyFlow, StepConditions, StepDefinition } from '../flow/flow.js';
import type { FlowRegistration, StepRegistration } from './store.js';

/**
 * What the database keeps of a flow. A step's signature says what a worker must agree on to execute
 * it; the shape, made of all of them and of the conditions, is what a version of the flow is.
 */
export function registrationOf(flow: AnyFlow): FlowRegistration {
  const indexOf = new Map(flow.steps.map((step) => [step.slug, step.index]));
  const steps = flow.steps.map(
    (step): StepRegistration => ({
      ...step.options,
      ...givenConditions(step.conditions),
      slug: step.slug,
      kind: step.kind,
      dependsOn: step.dependsOn.map((slug) => indexOf.get(slug)!),
      over: step.over === null ? null : indexOf.get(step.over)!,
      signature: signatureOf(step),
    }),
  );
  const shape = digest(
    flow.steps.map((step) => [step.slug, signatureOf(step), inKeyOrder(givenConditions(step.conditions))]),
  );
  return { slug: flow.slug, kind: flow.kind, shape, steps };
}

function signatureOf(step: StepDefinition): string {
  return digest([step.kind, [...step.dependsOn].sort(), step.over]);
}

/** A pattern that was not given has no key, because null is a pattern too. */
function givenConditions(conditions: StepConditions) {
  const { if: pattern, ifNot, whenUnmet, whenExhausted } = conditions;
  return {
    ...(pattern !== undefined && { if: pattern }),
    ...(ifNot !== undefined && { ifNot }),
    whenUnmet,
    whenExhausted,
  };
}

/** Patterns that are equal as `jsonb` are one shape, in whatever order their keys were written. */
function inKeyOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inKeyOrder);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, inKeyOrder(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 32);
}
