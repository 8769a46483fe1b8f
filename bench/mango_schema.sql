-- The tables of a Mango database, as its latest migration leaves them: what `mango-chat import mango` reads.
CREATE TABLE user_table (
    id serial PRIMARY KEY,
    name varchar(255),
    phone varchar(30) NOT NULL,
    photo varchar(255) NOT NULL,
    description varchar(255),
    hashed_password varchar(255) NOT NULL,
    refresh_token varchar(255),
    online boolean NOT NULL DEFAULT false,
    sid varchar(255),
    created_at varchar(255) NOT NULL DEFAULT now()
);
CREATE TABLE chat (
    id serial PRIMARY KEY,
    name varchar(255) NOT NULL,
    is_group boolean NOT NULL,
    created_at varchar(255) NOT NULL DEFAULT now()
);
CREATE TABLE chat_user (
    chat_id integer REFERENCES chat (id),
    user_id integer REFERENCES user_table (id)
);
CREATE TABLE message_type (
    id serial PRIMARY KEY,
    name varchar(255) NOT NULL,
    mime varchar(255) NOT NULL
);
CREATE TABLE message (
    id serial PRIMARY KEY,
    user_id integer REFERENCES user_table (id),
    chat_id integer REFERENCES chat (id),
    message_type integer REFERENCES message_type (id),
    content text NOT NULL,
    created_at varchar(255) NOT NULL DEFAULT now()
);
CREATE TABLE message_likes (
    message_id integer REFERENCES message (id),
    user_id integer REFERENCES user_table (id)
);
CREATE TABLE pinned_chat (
    id serial PRIMARY KEY,
    "user" integer REFERENCES user_table (id),
    created_at varchar(255) NOT NULL DEFAULT now()
);
CREATE TABLE pinned_chat_chats (
    pinned_chat_id integer REFERENCES pinned_chat (id),
    chat_id integer REFERENCES chat (id)
);
INSERT INTO message_type (name, mime)
SELECT name, 'application/octet-stream' FROM unnest(ARRAY[
    'text', 'html', 'json', 'xml', 'binary', 'image', 'pdf', 'csv', 'excel', 'word', 'zip', 'gzip', 'tar', 'audio', 'video',
    'rtf', 'yaml', 'javascript', 'css', 'svg', 'markdown', 'protobuf', 'avro', 'parquet', 'orc'
]) WITH ORDINALITY AS t (name, place) ORDER BY place;
