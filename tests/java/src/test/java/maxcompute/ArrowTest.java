package maxcompute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import com.aliyun.odps.Odps;
import com.aliyun.odps.data.ArrowRecordReader;
import com.aliyun.odps.data.ArrowRecordWriter;
import com.aliyun.odps.data.Record;
import com.aliyun.odps.tunnel.TableTunnel;
import com.aliyun.odps.tunnel.TableTunnel.DownloadSession;
import com.aliyun.odps.tunnel.TableTunnel.UploadSession;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowStreamReader;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The Arrow wire: blocks written and read as batches, and what one wire wrote read through the other. */
class ArrowTest {
    private static final int ROWS = 5_000; // a batch larger than one chunk of 64 KiB
    private final Odps odps = Emulator.client();
    private final TableTunnel tunnel = new TableTunnel(odps);
    private final BufferAllocator allocator = new RootAllocator();

    @AfterEach
    void close() {
        allocator.close();
    }

    private void write(UploadSession session, long block, int first) throws Exception {
        try (VectorSchemaRoot batch = VectorSchemaRoot.create(session.getArrowSchema(), allocator);
                ArrowRecordWriter writer = session.openArrowRecordWriter(block)) {
            BigIntVector ids = (BigIntVector) batch.getVector("id");
            VarCharVector names = (VarCharVector) batch.getVector("name");
            for (int row = 0; row < ROWS; row++) {
                ids.setSafe(row, first + row);
                String name = Rows.name(first + row);
                if (name == null) {
                    names.setNull(row);
                } else {
                    names.setSafe(row, name.getBytes(StandardCharsets.UTF_8));
                }
            }
            batch.setRowCount(ROWS);
            writer.write(batch);
            writer.write(batch);
        }
    }

    @Test
    void batchesAreReadAsRecordsAndAsBatches() throws Exception {
        String table = Emulator.table(odps, "batches", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        write(session, 0, 0);
        write(session, 1, ROWS);
        session.commit(new Long[] {0L, 1L});

        List<Record> rows = Rows.read(odps, table, null);
        assertEquals(4 * ROWS, rows.size());
        for (Record row : rows) {
            assertEquals(Rows.name(row.getBigint("id")), row.getString("name"));
        }
        DownloadSession download = tunnel.createDownloadSession(Emulator.PROJECT, table);
        assertEquals(4 * ROWS, download.getRecordCount());
        assertEquals(Rows.ids(rows), ids(download, 0, 4 * ROWS).stream().sorted().toList());
        assertEquals(7, ids(download, 3, 7).size());
    }

    private List<Long> ids(DownloadSession session, long start, long count) throws Exception {
        List<Long> found = new ArrayList<>();
        try (ArrowRecordReader reader = session.openArrowRecordReader(start, count, allocator)) {
            Batches.each(reader, batch -> add(found, batch));
        }
        return found;
    }

    private static void add(List<Long> found, VectorSchemaRoot batch) {
        BigIntVector ids = (BigIntVector) batch.getVector("id");
        VarCharVector names = (VarCharVector) batch.getVector("name");
        for (int row = 0; row < batch.getRowCount(); row++) {
            byte[] name = names.get(row);
            assertEquals(Rows.name(ids.get(row)), name == null ? null : new String(name, StandardCharsets.UTF_8));
            found.add(ids.get(row));
        }
    }

    @Test
    void recordsAreReadAsBatches() throws Exception {
        String table = Emulator.table(odps, "records", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        Rows.write(session, 0, 0, 100);
        session.commit(new Long[] {0L});
        assertEquals(100, ids(tunnel.createDownloadSession(Emulator.PROJECT, table), 0, 100).size());
    }

    @Test
    void chosenColumnsAreRead() throws Exception {
        String table = Emulator.table(odps, "narrow", "(id BIGINT, x DOUBLE)");
        Emulator.run(odps, "INSERT INTO " + table + " VALUES (1, 0.5), (2, NULL);");
        DownloadSession session = tunnel.createDownloadSession(Emulator.PROJECT, table);
        try (ArrowRecordReader reader = session.openArrowRecordReader(
                    0, 2, List.of(session.getSchema().getColumn("x")), allocator);
                VectorSchemaRoot batch = reader.read()) {
            assertEquals(1, batch.getFieldVectors().size());
            assertEquals(0.5, ((Float8Vector) batch.getVector("x")).getObject(0));
            assertNull(((Float8Vector) batch.getVector("x")).getObject(1));
        }
    }

    @Test
    void aTableIsPreviewed() throws Exception {
        String table = Emulator.table(odps, "preview", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        Rows.write(session, 0, 0, 100);
        session.commit(new Long[] {0L});
        List<Long> found = new ArrayList<>();
        try (ArrowStreamReader reader = tunnel.preview(Emulator.PROJECT, null, table, null, 10L)) {
            while (reader.loadNextBatch()) {
                add(found, reader.getVectorSchemaRoot());
            }
        }
        assertEquals(10, found.size());
    }
}
