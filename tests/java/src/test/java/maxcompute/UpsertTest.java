package maxcompute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.aliyun.odps.Odps;
import com.aliyun.odps.data.Record;
import com.aliyun.odps.tunnel.TableTunnel;
import com.aliyun.odps.tunnel.TableTunnel.UpsertSession;
import com.aliyun.odps.tunnel.TunnelException;
import com.aliyun.odps.tunnel.streams.UpsertStream;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Upserts into a Delta table: the last write of a key wins, and a commit makes it visible. */
class UpsertTest {
    private static final String DELTA_TABLE = "(id BIGINT NOT NULL, name STRING, PRIMARY KEY (id))"
        + " TBLPROPERTIES ('transactional'='true', 'write.bucket.num'='4')";
    private final Odps odps = Emulator.client();
    private final TableTunnel tunnel = new TableTunnel(odps);

    private interface Writes {
        void to(UpsertStream stream, Record record) throws Exception;
    }

    private static void write(UpsertSession session, Writes writes) throws Exception {
        try (UpsertStream stream = session.buildUpsertStream().build()) {
            writes.to(stream, session.newRecord());
            stream.flush();
        }
    }

    private static Record row(Record record, long id, String name) {
        record.setBigint("id", id);
        record.setString("name", name);
        return record;
    }

    private Map<Long, String> names(String table) throws Exception {
        Map<Long, String> found = new TreeMap<>();
        for (Record row : Emulator.query(odps, "SELECT id, name FROM " + table + ";")) {
            found.put(row.getBigint("id"), row.getString("name"));
        }
        return found;
    }

    @Test
    void theLastWriteOfAkeyWins() throws Exception {
        String table = Emulator.table(odps, "upserted", DELTA_TABLE);
        assertTrue(odps.tables().get(table).isTransactional());
        try (UpsertSession session = tunnel.buildUpsertSession(Emulator.PROJECT, table).build()) {
            write(session, (stream, record) -> {
                for (long id = 0; id < 100; id++) {
                    stream.upsert(row(record, id, "first"));
                }
                stream.upsert(row(record, 1, "second"));
                stream.delete(row(record, 2, null));
            });
            assertEquals(Map.of(), names(table));
            session.commit(false);
        }
        Map<Long, String> names = names(table);
        assertEquals(99, names.size());
        assertEquals("first", names.get(0L));
        assertEquals("second", names.get(1L));
        assertEquals(null, names.get(2L));

        try (UpsertSession session = tunnel.buildUpsertSession(Emulator.PROJECT, table).build()) {
            write(session, (stream, record) -> stream.upsert(row(record, 0, "third")));
            session.commit(false);
        }
        assertEquals("third", names(table).get(0L));
        assertEquals(99, names(table).size());
    }

    @Test
    void anAbortedSessionLeavesNothing() throws Exception {
        String table = Emulator.table(odps, "aborted", DELTA_TABLE);
        try (UpsertSession session = tunnel.buildUpsertSession(Emulator.PROJECT, table).build()) {
            write(session, (stream, record) -> stream.upsert(row(record, 1, "never")));
            session.abort();
        }
        assertEquals(Map.of(), names(table));
    }

    @Test
    void aTableWithoutAprimaryKeyIsRefused() throws Exception {
        String table = Emulator.table(odps, "keyless", Rows.COLUMNS);
        assertThrows(TunnelException.class,
            () -> tunnel.buildUpsertSession(Emulator.PROJECT, table).build().close());
    }
}
