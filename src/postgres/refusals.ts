import { PgFlowError } from '../errors.js';

/** Throws what the engine's own SQLSTATEs (`PF…`) mean, anything else as it is. */
export function refuse(error: unknown): never {
  // Drizzle hands on what the server said as the cause of an error of its own.
  const said = [error, (error as { cause?: unknown }).cause].find(isOurs);
  if (!said) throw error;
  const { code, message } = said;
  if (code === 'PF004') {
    throw new PgFlowError(
      'INVALID_DEFINITION',
      `\`${message}\` is registered as a flow and as a job. Give one of them another slug.`,
      { cause: error },
    );
  }
  if (code === 'PF005') {
    throw new PgFlowError('RUN_NOT_FOUND', `There is no run ${message}.`, {
      data: { runId: message },
      cause: error,
    });
  }
  if (code === 'PF006') {
    const { runId, status } = JSON.parse(message) as { runId: string; status: string };
    throw new PgFlowError(
      'RUN_CONFLICT',
      `Run ${runId} is ${status}, and only a failed or cancelled run can be retried. Start a new one instead.`,
      { data: { runId, status }, cause: error },
    );
  }
  const { runId, flowSlug, map } = JSON.parse(message) as {
    runId: string;
    flowSlug: string;
    map: string | null;
  };
  if (code === 'PF001') {
    throw new PgFlowError(
      'FLOW_NOT_FOUND',
      `Flow \`${flowSlug}\` is not registered. Pass its definition to createPgFlow({ flows: [...] }) or { jobs: [...] }, in this process or in another one on this database.`,
      { data: { flowSlug }, cause: error },
    );
  }
  if (code === 'PF002') {
    throw new PgFlowError(
      'RUN_CONFLICT',
      `Run ${runId} exists already, with another flow or another input than \`${flowSlug}\` was asked to start with. Nothing was changed. Use a new runId.`,
      { data: { runId, flowSlug }, cause: error },
    );
  }
  throw new PgFlowError(
    'INVALID_INPUT',
    `The input of flow \`${flowSlug}\` must be an array: map \`${map}\` runs over it.`,
    { data: { flowSlug, issues: [{ path: '', message: 'Expected an array' }] }, cause: error },
  );
}

function isOurs(error: unknown): error is { code: string; message: string } {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' && code.startsWith('PF0');
}
