import { PgFlowError } from '../errors.js';
import type { AnyFlow } from './flow.js';
import { quoted } from './quoted.js';

/**
 * Checks what only a finished definition has to meet: a flow without steps would never end.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION`
 */
export function assertRunnable(flow: AnyFlow): void {
  if (!Array.isArray(flow?.steps)) {
    throw new PgFlowError(
      'INVALID_DEFINITION',
      `${quoted(flow)} is no flow. Register what defineFlow or defineJob made; was an import undefined?`,
    );
  }
  if (flow.steps.length > 0) return;
  throw new PgFlowError(
    'INVALID_DEFINITION',
    `Flow ${quoted(flow.slug)} has no steps. Add at least one, with .step() or .map(), before you register it.`,
  );
}
