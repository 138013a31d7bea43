import type { InputIssue, PgFlowError } from 'pgflow-live';

/** An error where the user acted; read out when it appears. */
export function ErrorMessage({ error, id }: { error: PgFlowError; id?: string }) {
  return (
    <p className="error-message" role="alert" id={id}>
      {textOf(error)}
    </p>
  );
}

/** Of a refused input what is wrong with it, else what the error says. */
function textOf({ data, message }: PgFlowError): string {
  const issues = data?.issues as readonly InputIssue[] | undefined;
  if (!issues?.length) return message;
  return issues.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('\n');
}
