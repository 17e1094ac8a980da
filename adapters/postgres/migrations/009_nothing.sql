-- Nothing. The number is taken so that those that follow have theirs.
select 1;
