import type { StepOutline } from '../server.js';

interface Place {
  /** In percent of the picture. */
  readonly x: number;
  readonly y: number;
}

export interface Edge {
  readonly parent: string;
  readonly slug: string;
  readonly from: Place;
  readonly to: Place;
}

/** A step stands one column after the last of its parents. */
export function columnsOf(steps: readonly StepOutline[]): StepOutline[][] {
  const depths = new Map<string, number>();
  const columns: StepOutline[][] = [];
  for (const step of steps) {
    const depth = Math.max(-1, ...step.parents.map((parent) => depths.get(parent)!)) + 1;
    depths.set(step.slug, depth);
    columns[depth] ??= [];
    columns[depth].push(step);
  }
  return columns;
}

/** The lines between the steps, without those that others imply. */
export function edgesOf(columns: readonly StepOutline[][]): Edge[] {
  const steps = columns.flat();
  const places = placesOf(columns);
  return steps.flatMap(({ slug, parents }) =>
    parents
      .filter((parent) => !parents.some((other) => ancestorsOf(steps, other).has(parent)))
      .map((parent) => ({ parent, slug, from: places.get(parent)!, to: places.get(slug)! })),
  );
}

function placesOf(columns: readonly StepOutline[][]): Map<string, Place> {
  const places = new Map<string, Place>();
  for (const [column, steps] of columns.entries()) {
    for (const [row, { slug }] of steps.entries()) {
      places.set(slug, {
        x: ((column + 0.5) / columns.length) * 100,
        y: ((row + 0.5) / steps.length) * 100,
      });
    }
  }
  return places;
}

function ancestorsOf(steps: readonly StepOutline[], slug: string): Set<string> {
  const parents = steps.find((step) => step.slug === slug)?.parents ?? [];
  return new Set(parents.flatMap((parent) => [parent, ...ancestorsOf(steps, parent)]));
}
