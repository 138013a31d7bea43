-- Deletes runs that ended before `cutoff`, the oldest first, at most `batch`; returns their ids. Runs under way stay,
-- and what another prune is deleting is left to it.
create function pgflow.prune_runs(cutoff timestamptz, batch int) returns setof uuid
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off
as $$
declare
  _runs uuid[];
begin
  select array_agg(o.run_id) into _runs from (
    select r.run_id from pgflow.runs r
    -- It began before it ended: so the index on started_at bounds the search.
    where r.started_at < cutoff and coalesce(r.completed_at, r.failed_at, r.cancelled_at) < cutoff
    order by r.started_at, r.run_id limit batch for update skip locked
  ) o;
  return query select d.run_id from pgflow.delete_runs(_runs) d(run_id);
end $$;
