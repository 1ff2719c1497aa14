-- All points of device $1 from $2 until $3, and where each row lies, for marking it: that holds as
-- long as the statement that called us runs, for it keeps vacuum from putting another row there.
SELECT {columns}
  FROM {relation} p
 WHERE p.{device} = {named:$1}
   AND {since:$2} AND {until:$3}
