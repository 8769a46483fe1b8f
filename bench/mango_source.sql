-- Fills the tables of mango_schema.sql. How much is said before, for example:
--   SET mango.users = 2000; SET mango.chats = 3000; SET mango.messages = 100000;
-- Two chats in three are direct; one message in five has one to three likes; everybody has pinned two chats.
-- Everybody's password is "mango salad".
INSERT INTO user_table (name, phone, photo, description, hashed_password, created_at)
SELECT 'User ' || n, '+7900' || lpad(n::text, 7, '0'), '', 'number ' || n,
       '$pbkdf2-sha256$29000$MDEyMzQ1Njc4OWFiY2RlZg$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM',
       timestamptz '2023-02-01 12:00:00+00' + n * interval '1 second'
FROM generate_series(1, current_setting('mango.users')::int) n;

-- Direct chats are all of different pairs: one step apart first, then two, and so on.
INSERT INTO chat (name, is_group, created_at)
SELECT 'chat ' || n, n % 3 = 0, timestamptz '2023-02-02 12:00:00+00' + n * interval '1 second'
FROM generate_series(1, current_setting('mango.chats')::int) n;

INSERT INTO chat_user (chat_id, user_id)
SELECT c.id, 1 + (c.id * 7 + step * CASE WHEN c.is_group THEN 13 ELSE 1 + c.id / u.number END) % u.number
FROM chat c, (SELECT count(*)::int AS number FROM user_table) u,
     generate_series(0, 11) step
WHERE step < CASE WHEN c.is_group THEN 12 ELSE 2 END;

INSERT INTO message (user_id, chat_id, message_type, content, created_at)
SELECT m.members[1 + (n / 3) % array_length(m.members, 1)], m.chat_id, 1 + (n % 40) / 39,
       'message ' || n || ' ' || repeat('mango ', 1 + n % 12),
       timestamptz '2023-02-03 12:00:00+00' + n * interval '0.37 second'
FROM generate_series(1, current_setting('mango.messages')::int) n
JOIN (SELECT chat_id, row_number() OVER (ORDER BY chat_id) - 1 AS place, array_agg(user_id ORDER BY user_id) AS members
      FROM chat_user GROUP BY chat_id) m
  ON m.place = (n * 31 + n / 97) % current_setting('mango.chats')::int;

INSERT INTO message_likes (message_id, user_id)
SELECT m.id, 1 + (m.id * 11 + step) % current_setting('mango.users')::int
FROM message m, generate_series(1, 3) step
WHERE m.id % 5 = 0 AND step <= 1 + m.id % 3;

INSERT INTO pinned_chat ("user") SELECT id FROM user_table;
INSERT INTO pinned_chat_chats (pinned_chat_id, chat_id)
SELECT p.id, c.chat_id FROM pinned_chat p
JOIN LATERAL (SELECT chat_id FROM chat_user WHERE user_id = p."user" ORDER BY chat_id LIMIT 2) c ON true;
