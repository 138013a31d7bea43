-- Tells all processes over the notification channel which runs moved, that lists of runs did, and whether tasks
-- became ready, when the transaction commits. The messages are hints: the rows are the truth.
create function pgflow.notify_changes(run_ids uuid[], seqs int[], ready boolean) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  _messages jsonb;
begin
  for _messages in
    -- 20 hints with the ends of their runs stay well below the 8,000 bytes that a notification may have.
    select pg_catalog.jsonb_build_object('messages', pg_catalog.jsonb_agg(m.message))
    from (
      select pg_catalog.jsonb_build_array('pgflow' || ':run:' || b.run_id,
          pg_catalog.jsonb_build_object('runId', b.run_id, 'seq', b.seq)) as message,
        (b.ordinality - 1) / 20 as page
      from unnest(run_ids, seqs) with ordinality b(run_id, seq, ordinality)
      union all
      select pg_catalog.jsonb_build_array('pgflow' || ':runs',
          pg_catalog.jsonb_build_object('runId', r.run_id, 'status', r.status)), (b.ordinality - 1) / 20
      from unnest(run_ids) with ordinality b(run_id, ordinality) join pgflow.runs r on r.run_id = b.run_id
      where r.status in ('failed', 'cancelled')
      union all
      select pg_catalog.jsonb_build_array('pgflow' || ':list', '{}'::jsonb), 0 where run_ids <> '{}'
      union all
      select pg_catalog.jsonb_build_array('pgflow' || ':wake', '{}'::jsonb), 0 where ready
    ) m
    group by m.page
  loop
    perform pg_catalog.pg_notify('pgflow', _messages::text);
  end loop;
end $$;
