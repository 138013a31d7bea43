import { PgFlowError } from '../errors.js';
import { CONDITION_OPTIONS, conditionsOf } from './conditions.js';
import { type AnyFlow, parentsOf, type StepDefinition, type StepOptions } from './flow.js';
import { ATTEMPT_OPTIONS, checkOptions, stepOptions } from './options.js';
import { quoted } from './quoted.js';
import { checkSlug } from './slug.js';

type Kind = StepDefinition['kind'];
type Handler = StepDefinition['handler'];

const SINGLE_OPTIONS = ['dependsOn', ...ATTEMPT_OPTIONS, 'startDelay', ...CONDITION_OPTIONS];
const ALLOWED: Readonly<Record<Kind, readonly string[]>> = {
  single: SINGLE_OPTIONS,
  map: ['over', ...SINGLE_OPTIONS],
};

/**
 * Makes the step that comes next in a flow, from what `.step()` or `.map()` was called with.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION`, naming the flow, the step and what to do.
 */
export function defineStep(
  flow: AnyFlow,
  defaults: StepOptions,
  kind: Kind,
  slug: string,
  optionsAndHandler: readonly unknown[],
): StepDefinition {
  checkSlug(slug, `step of flow ${quoted(flow.slug)}`);
  const step = `step ${quoted(slug)} of flow ${quoted(flow.slug)}`;
  if (flow.steps.some((other) => other.slug === slug)) {
    throw refused(
      `Flow ${quoted(flow.slug)} already has a step ${quoted(slug)}. Give one of them another slug.`,
    );
  }
  const [options, handler] = optionsAndHandler.length > 1 ? optionsAndHandler : [{}, optionsAndHandler[0]];
  checkOptions(step, options, ALLOWED[kind]);
  checkHandler(step, handler);
  const dependsOn = dependsOnOf(flow, slug, options.dependsOn);
  const over = overOf(flow, slug, options.over);
  return Object.freeze({
    slug,
    index: flow.steps.length,
    kind,
    dependsOn,
    over,
    options: stepOptions(options, defaults),
    conditions: conditionsOf(step, parentsOf({ dependsOn, over }), options),
    handler,
  });
}

/** @throws {PgFlowError} `INVALID_DEFINITION` when it is no function. */
export function checkHandler(owner: string, handler: unknown): asserts handler is Handler {
  if (typeof handler === 'function') return;
  throw refused(`The last argument of ${owner} must be its handler, a function, not ${quoted(handler)}.`);
}

/** A slug that stands there twice counts once. */
function dependsOnOf(flow: AnyFlow, slug: string, given: unknown): readonly string[] {
  if (given === undefined) return Object.freeze([]);
  if (!Array.isArray(given)) {
    throw refused(
      `\`dependsOn\` of step ${quoted(slug)} of flow ${quoted(flow.slug)} must be an array of slugs, not ${quoted(given)}.`,
    );
  }
  for (const parent of given) {
    if (parent === slug) {
      throw refused(
        `Step ${quoted(slug)} of flow ${quoted(flow.slug)} depends on ${quoted(slug)}, itself. Take it out of \`dependsOn\`.`,
      );
    }
    if (flow.steps.some((step) => step.slug === parent)) continue;
    throw refused(
      `Step ${quoted(slug)} depends on ${quoted(parent)}, which flow ${quoted(flow.slug)} does not have. ` +
        `Add it before ${quoted(slug)} or take it out of \`dependsOn\`.`,
    );
  }
  return Object.freeze([...new Set<string>(given)]);
}

function overOf(flow: AnyFlow, slug: string, given: unknown): string | null {
  if (given === undefined) return null;
  const map = `Map ${quoted(slug)} of flow ${quoted(flow.slug)}`;
  if (typeof given !== 'string') {
    throw refused(
      `${map} runs over one step, named by its slug, or over the run's input without \`over\`; ` +
        `its \`over\` is ${quoted(given)}. Name one step, and the others in \`dependsOn\`.`,
    );
  }
  if (given === slug) {
    throw refused(`${map} runs over ${quoted(slug)}, itself. Name a step before it in \`over\`.`);
  }
  if (flow.steps.some((step) => step.slug === given)) return given;
  throw refused(
    `Map ${quoted(slug)} runs over ${quoted(given)}, which flow ${quoted(flow.slug)} does not have. ` +
      `Add it before ${quoted(slug)} or leave \`over\` out to run over the run's input.`,
  );
}

function refused(message: string): PgFlowError {
  return new PgFlowError('INVALID_DEFINITION', message);
}
