-- What is new since those seqs, as read_changes has it; and from the next change on what becomes of these runs is told. A
-- change that is being committed meanwhile is waited for, so that it is in the answer or told: none is in neither.
create function pgflow.track_changes(run_ids uuid[], sinces int[], tracker int) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _untold uuid[];
begin
  select array_agg(r.run_id order by r.run_id) into _untold
  from unnest(run_ids) b(run_id)
  cross join lateral (
    select r.run_id from pgflow.runs r where r.run_id = b.run_id and r.status = 'started'
      and r.tracked_by is distinct from tracker and r.tracked_by is distinct from 0 offset 0
  ) r;
  if _untold is not null and pg_catalog.current_setting('transaction_read_only') = 'off' then
    -- Lost in a crash, it is lost with the connections of all who watch: they come again.
    perform pg_catalog.set_config('synchronous_commit', 'off', true);
    begin
      perform pg_catalog.set_config('lock_timeout', '1s', true);
      perform 1 from unnest(_untold) b(run_id)
      cross join lateral (select 1 from pgflow.runs r where r.run_id = b.run_id for no key update) r;
    exception when lock_not_available then
      -- Somebody stopped in the middle of a change. The watchdogs see what became of these.
      _untold := array(
        select r.run_id from unnest(_untold) b(run_id)
        cross join lateral (select r.run_id from pgflow.runs r where r.run_id = b.run_id for no key update skip locked) r
      );
    end;
    update pgflow.runs t set tracked_by = case when t.tracked_by is null then tracker else 0 end
    from unnest(_untold) b(run_id)
    where t.run_id >= b.run_id and t.run_id <= b.run_id;   -- not `=`, as in settle_tasks
  end if;
  return query select c.* from pgflow.changed_rows(run_ids, sinces) c;
end $$;
