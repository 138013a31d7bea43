import type { Consequence } from './flow.js';
import type { Pattern } from './pattern.js';

/** What the type of a flow knows of its steps. */
export interface FlowSteps {
  /** What each puts out, by slug. */
  readonly outputs: object;
  /** Those that no other depends on. */
  readonly leaf: string;
  /** Those that may be skipped while what comes after runs, without their output. */
  readonly skippable: string;
  /** Those that may be skipped together with all that comes after. */
  readonly cascading: string;
}

export interface NoSteps {
  readonly outputs: {};
  readonly leaf: never;
  readonly skippable: never;
  readonly cascading: never;
}

/** A flow's steps and a new one. `Skip`: those of its consequences that may come about. */
export interface Added<
  Steps extends FlowSteps,
  Slug extends string,
  Output,
  Parent extends string = never,
  Skip extends Consequence = never,
> {
  readonly outputs: Steps['outputs'] & { [S in Slug]: Output };
  readonly leaf: Exclude<Steps['leaf'], Parent> | Slug;
  readonly skippable: Steps['skippable'] | ('skip' extends Skip ? Slug : never);
  readonly cascading:
    | Steps['cascading']
    | ('skip-cascade' extends Skip ? Slug : [Parent & Steps['cascading']] extends [never] ? never : Slug);
}

/** The consequences of a step that was given options of these names: `whenUnmet` needs a condition. */
export type SkipOf<Name, Unmet extends Consequence, Exhausted extends Consequence> =
  | Exhausted
  | ([Name & ('if' | 'ifNot')] extends [never] ? never : Unmet);

export type SlugOf<Steps extends FlowSteps> = Extract<keyof Steps['outputs'], string>;

/** The slugs of the steps whose output is an array. */
export type ArraySlugOf<Steps extends FlowSteps> = string extends keyof Steps['outputs']
  ? string
  : Extract<
      {
        [Slug in keyof Steps['outputs']]: IfArray<Steps['outputs'][Slug], Slug, never>;
      }[keyof Steps['outputs']],
      string
    >;

export type NewSlug<Slug extends string, Steps extends FlowSteps> = string extends keyof Steps['outputs']
  ? Slug
  : Slug extends keyof Steps['outputs']
    ? `There is a step ${Slug} already`
    : Slug;

/**
 * What a handler gets of the steps it depends on. One that was skipped alone is a missing key; one that was skipped
 * with all that comes after never is, because then the handler is not called.
 */
export type DepsOf<Steps extends FlowSteps, Dep extends string> = string extends keyof Steps['outputs']
  ? any
  : Readonly<OutputsOf<Steps['outputs'], Dep, Steps['skippable']>>;

/** `{ leafSlug: output }`; a leaf that was skipped, for whatever reason, is a missing key. */
export type RunOutputOf<Steps extends FlowSteps> = string extends Steps['leaf']
  ? any
  : OutputsOf<Steps['outputs'], Steps['leaf'], Steps['skippable'] | Steps['cascading']>;

/** What the conditions of a step are matched by: the run's input, or the outputs of the steps that it waits for. */
export type PatternOf<Input, Steps extends FlowSteps, Parent extends string> = [Parent] extends [never]
  ? Pattern<Input>
  : string extends keyof Steps['outputs']
    ? unknown
    : Pattern<{ [Slug in Parent]: Steps['outputs'][Slug & keyof Steps['outputs']] }>;

export type IfArray<T, Yes, No> = 0 extends 1 & T ? Yes : [T] extends [readonly unknown[]] ? Yes : No;

export type ElementOf<T> = 0 extends 1 & T ? any : T extends readonly (infer Element)[] ? Element : never;

type OutputsOf<Outputs, Slug extends string, Maybe extends string> = [Slug & Maybe] extends [never]
  ? { [S in Slug]: Outputs[S & keyof Outputs] }
  : Flat<
      { [S in Exclude<Slug, Maybe>]: Outputs[S & keyof Outputs] } & {
        [S in Slug & Maybe]?: Outputs[S & keyof Outputs];
      }
    >;

type Flat<T> = { [Key in keyof T]: T[Key] };
