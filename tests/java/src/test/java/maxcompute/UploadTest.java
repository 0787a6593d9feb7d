package maxcompute;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.aliyun.odps.Odps;
import com.aliyun.odps.PartitionSpec;
import com.aliyun.odps.data.Record;
import com.aliyun.odps.data.RecordReader;
import com.aliyun.odps.data.RecordWriter;
import com.aliyun.odps.tunnel.TableTunnel;
import com.aliyun.odps.tunnel.TableTunnel.DownloadSession;
import com.aliyun.odps.tunnel.TableTunnel.UploadSession;
import com.aliyun.odps.tunnel.TableTunnel.UploadStatus;
import com.aliyun.odps.tunnel.TunnelException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/** Upload sessions by record: blocks, commit, overwriting, and what other processes see meanwhile. */
class UploadTest {
    private final Odps odps = Emulator.client();
    private final TableTunnel tunnel = new TableTunnel(odps);

    private static List<Long> upTo(long end) {
        return LongStream.range(0, end).boxed().toList();
    }

    @Test
    void severalBlocksBecomeVisibleTogether() throws Exception {
        String table = Emulator.table(odps, "blocks", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        assertEquals(UploadStatus.NORMAL, session.getStatus());
        Rows.write(session, 0, 0, 10);
        Rows.write(session, 1, 10, 10);
        Rows.write(session, 19_999, 20, 10); // the last block id that the service has
        assertArrayEquals(new Long[] {0L, 1L, 19_999L}, session.getBlockList());
        assertEquals(List.of(), Rows.read(odps, table, null));
        assertEquals(0, Emulator.count(odps, table));

        session.commit(new Long[] {0L, 1L, 19_999L});
        assertEquals(UploadStatus.CLOSED, session.getStatus());
        List<Record> rows = Rows.read(odps, table, null);
        assertEquals(upTo(30), Rows.ids(rows));
        for (Record row : rows) {
            assertEquals(Rows.name(row.getBigint("id")), row.getString("name"));
        }
        assertEquals(30, Emulator.count(odps, table));
    }

    @Test
    void anotherProcessSeesNothingBeforeTheCommit() throws Exception {
        String table = Emulator.table(odps, "unseen", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        Rows.write(session, 0, 0, 7);
        assertEquals("0", countInAnotherProcess(table));
        session.commit(new Long[] {0L});
        assertEquals("7", countInAnotherProcess(table));
    }

    private static String countInAnotherProcess(String table) throws Exception {
        Process process = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp", System.getProperty("java.class.path"), Rows.class.getName(), table)
            .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        try {
            String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            assertEquals(true, process.waitFor(60, TimeUnit.SECONDS));
            return printed;
        } finally {
            process.destroyForcibly();
        }
    }

    @Test
    void aBlockIsRewritten() throws Exception {
        String table = Emulator.table(odps, "rewritten", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        Rows.write(session, 0, 100, 5);
        Rows.write(session, 0, 0, 3);
        session.commit(new Long[] {0L});
        assertEquals(upTo(3), Rows.ids(Rows.read(odps, table, null)));
    }

    @Test
    void aSessionIsOpenedAgainByItsIdAndCommitted() throws Exception {
        String table = Emulator.table(odps, "reopened", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        Rows.write(session, 4, 0, 3);
        UploadSession again = new TableTunnel(Emulator.client())
            .getUploadSession(Emulator.PROJECT, table, session.getId());
        assertArrayEquals(new Long[] {4L}, again.getBlockList());
        again.commit();
        assertEquals(UploadStatus.CLOSED, session.getStatus());
        assertEquals(upTo(3), Rows.ids(Rows.read(odps, table, null)));
    }

    @Test
    void aPartialBlockListIsRefused() throws Exception {
        String table = Emulator.table(odps, "partial", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        Rows.write(session, 0, 0, 1);
        Rows.write(session, 1, 1, 1);
        assertThrows(TunnelException.class, () -> session.commit(new Long[] {0L}));
        assertEquals(List.of(), Rows.read(odps, table, null));
    }

    @Test
    void aPartitionIsFilledAndOverwritten() throws Exception {
        String table = Emulator.table(odps, "filled", Rows.COLUMNS + " PARTITIONED BY (pt STRING)");
        PartitionSpec ten = new PartitionSpec("pt='2026-11-24 10:00'");
        PartitionSpec eleven = new PartitionSpec("pt='2026-11-24 11:00'");
        for (PartitionSpec partition : List.of(ten, eleven)) {
            odps.tables().get(table).createPartition(partition);
            UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table, partition);
            Rows.write(session, 0, 0, 5);
            session.commit(new Long[] {0L});
        }
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table, ten, true);
        Rows.write(session, 0, 0, 2);
        session.commit(new Long[] {0L});
        assertEquals(upTo(2), Rows.ids(Rows.read(odps, table, ten)));
        assertEquals(upTo(5), Rows.ids(Rows.read(odps, table, eleven)));
    }

    @Test
    void aBufferedWriterCutsItsBlocksItself() throws Exception {
        String table = Emulator.table(odps, "buffered", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        try (RecordWriter writer = session.openBufferedWriter()) {
            for (long id = 0; id < 1000; id++) {
                writer.write(Rows.fill(session.newRecord(), id));
            }
        }
        session.commit();
        assertEquals(upTo(1000), Rows.ids(Rows.read(odps, table, null)));
    }

    @Test
    void rangesAndColumnsAreDownloaded() throws Exception {
        String table = Emulator.table(odps, "ranged", Rows.COLUMNS);
        UploadSession upload = tunnel.createUploadSession(Emulator.PROJECT, table);
        Rows.write(upload, 0, 0, 20);
        upload.commit(new Long[] {0L});
        DownloadSession session = tunnel.createDownloadSession(Emulator.PROJECT, table);
        assertEquals(20, session.getRecordCount());
        DownloadSession again = tunnel.getDownloadSession(Emulator.PROJECT, table, session.getId());
        try (RecordReader reader = again.openRecordReader(5, 3, true, List.of(session.getSchema().getColumn("id")))) {
            for (long id = 5; id < 8; id++) {
                Record row = reader.read();
                assertEquals(1, row.getColumnCount());
                assertEquals(id, row.getBigint("id"));
            }
            assertEquals(null, reader.read());
        }
    }
}
