import type fc from 'fast-check';

/** A step of a model test: allowed where `check` says so; after `run` the real thing is compared with the model. */
export function commandOf<Model extends object, Real extends { check(model: Model): Promise<void> }>() {
  return (
    name: string,
    check: (model: Model) => boolean,
    run: (model: Model, real: Real) => unknown,
  ): fc.AsyncCommand<Model, Real> => ({
    check,
    toString: () => name,
    async run(model, real) {
      await run(model, real);
      await real.check(model);
    },
  });
}
