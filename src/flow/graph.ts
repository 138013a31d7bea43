import type { Consequence } from './flow.js';
import type { Pattern } from './pattern.js';

/** What the type of a flow knows of its steps. */
export type FlowSteps = [
  /** What each puts out, by slug. */
  outputs: object,
  /** Those that no other depends on. */
  leaf: string,
  /** Those that may be skipped alone: what comes after runs without their output. */
  skippable: string,
  /** Those that may be skipped together with all that comes after. */
  cascading: string,
];

export type NoSteps = [outputs: {}, leaf: never, skippable: never, cascading: never];

/**
 * A flow's steps and a new one. `Skip`: those of its consequences that may come about.
 *
 * An interface, read as `Added<…>['steps']`: a tuple right in a type alias is resolved late, and a flow of 100 steps
 * is then too deep for the compiler.
 */
export interface Added<
  Steps extends FlowSteps,
  Slug extends string,
  Output,
  Parent extends string = never,
  Skip extends Consequence = never,
> {
  readonly steps: [
    outputs: Steps[0] & { [S in Slug]: Output },
    leaf: Exclude<Steps[1], Parent> | Slug,
    skippable: Steps[2] | ('skip' extends Skip ? Slug : never),
    cascading:
      | Steps[3]
      | ('skip-cascade' extends Skip ? Slug : [Parent & Steps[3]] extends [never] ? never : Slug),
  ];
}

/** The consequences of a step that was given options of these names: `whenUnmet` needs a condition. */
export type SkipOf<Name, Unmet extends Consequence, Exhausted extends Consequence> =
  | Exhausted
  | ([Name & ('if' | 'ifNot')] extends [never] ? never : Unmet);

export type SlugOf<Steps extends FlowSteps> = Extract<keyof Steps[0], string>;

/** The slugs of the steps whose output is an array. */
export type ArraySlugOf<Steps extends FlowSteps> = string extends keyof Steps[0]
  ? string
  : Extract<
      {
        [Slug in keyof Steps[0]]: IfArray<Steps[0][Slug], Slug, never>;
      }[keyof Steps[0]],
      string
    >;

export type NewSlug<Slug extends string, Steps extends FlowSteps> = string extends keyof Steps[0]
  ? Slug
  : Slug extends keyof Steps[0]
    ? `There is a step ${Slug} already`
    : Slug;

/**
 * What a handler gets of the steps it depends on. One that was skipped alone is a missing key; one that was skipped
 * with all that comes after never is, because then the handler is not called.
 */
export type DepsOf<Outputs, Dep extends keyof Outputs, Skippable> = string extends keyof Outputs
  ? any
  : Readonly<OutputsOf<Outputs, Dep, Skippable>>;

/** `{ leafSlug: output }`; a leaf that was skipped, for whatever reason, is a missing key. */
export type RunOutputOf<Steps extends FlowSteps> = string extends Steps[1]
  ? any
  : OutputsOf<Steps[0], Steps[1] & keyof Steps[0], Steps[2] | Steps[3]>;

/** What the conditions of a step are matched by: the run's input, or the outputs of the steps that it waits for. */
export type PatternOf<Input, Outputs, Parent extends keyof Outputs> = [Parent] extends [never]
  ? Pattern<Input>
  : string extends keyof Outputs
    ? unknown
    : { readonly [Slug in Parent]?: Pattern<Outputs[Slug]> };

export type IfArray<T, Yes, No> = 0 extends 1 & T ? Yes : [T] extends [readonly unknown[]] ? Yes : No;

export type ElementOf<T> = 0 extends 1 & T ? any : T extends readonly (infer Element)[] ? Element : never;

type OutputsOf<Outputs, Slug extends keyof Outputs, Maybe> = [Slug & Maybe] extends [never]
  ? { [S in Slug]: Outputs[S] }
  : Flat<{ [S in Exclude<Slug, Maybe>]: Outputs[S] } & { [S in Extract<Slug, Maybe>]?: Outputs[S] }>;

type Flat<T> = { [Key in keyof T]: T[Key] };
