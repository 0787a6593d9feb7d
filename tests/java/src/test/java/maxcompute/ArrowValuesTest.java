package maxcompute;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.aliyun.odps.Odps;
import com.aliyun.odps.data.ArrayRecord;
import com.aliyun.odps.data.ArrowRecordReader;
import com.aliyun.odps.data.ArrowRecordWriter;
import com.aliyun.odps.data.Record;
import com.aliyun.odps.tunnel.TableTunnel;
import com.aliyun.odps.tunnel.TableTunnel.DownloadSession;
import com.aliyun.odps.tunnel.TableTunnel.UploadSession;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.DateMilliVector;
import org.apache.arrow.vector.DecimalVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.TimeStampNanoVector;
import org.apache.arrow.vector.VarBinaryVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.complex.MapVector;
import org.apache.arrow.vector.complex.StructVector;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Types whose Arrow form is the SDK's own choice, such as a date in milliseconds for DATETIME; and NULLs. */
class ArrowValuesTest {
    private static final Instant TIME = Instant.parse("2026-11-24T10:11:12.123456789Z");
    private static final long NANOSECONDS = TIME.getEpochSecond() * 1_000_000_000 + TIME.getNano();
    private static final BigDecimal PRICE = new BigDecimal("-12345678.90");
    private static final byte[] BYTES = {0, -1, 127};
    private final Odps odps = Emulator.client();
    private final TableTunnel tunnel = new TableTunnel(odps);
    private final BufferAllocator allocator = new RootAllocator();

    @AfterEach
    void close() {
        allocator.close();
    }

    /** A table with one row of values and one of NULLs, written as one batch. */
    private String table() throws Exception {
        String table = Emulator.table(odps, "arrow_typed", "(at DATETIME, price DECIMAL(10,2), bytes BINARY,"
            + (Emulator.HAS_TIMESTAMP ? " ts TIMESTAMP," : "")
            + " tags ARRAY<STRING>, counts MAP<STRING,BIGINT>, place STRUCT<x:BIGINT,name:STRING>)");
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        try (VectorSchemaRoot batch = VectorSchemaRoot.create(session.getArrowSchema(), allocator);
                ArrowRecordWriter writer = session.openArrowRecordWriter(0)) {
            batch.allocateNew();
            fill(batch);
            for (FieldVector column : batch.getFieldVectors()) {
                column.setNull(1);
            }
            batch.setRowCount(2);
            writer.write(batch);
        }
        session.commit(new Long[] {0L});
        return table;
    }

    private static void fill(VectorSchemaRoot batch) {
        ((DateMilliVector) batch.getVector("at")).set(0, TIME.toEpochMilli());
        if (Emulator.HAS_TIMESTAMP) {
            ((TimeStampNanoVector) batch.getVector("ts")).set(0, NANOSECONDS);
        }
        ((DecimalVector) batch.getVector("price")).set(0, PRICE);
        ((VarBinaryVector) batch.getVector("bytes")).setSafe(0, BYTES);

        ListVector tags = (ListVector) batch.getVector("tags");
        tags.startNewValue(0);
        ((VarCharVector) tags.getDataVector()).setSafe(0, "名".getBytes(StandardCharsets.UTF_8));
        tags.getDataVector().setNull(1);
        tags.endValue(0, 2);

        MapVector counts = (MapVector) batch.getVector("counts");
        StructVector entries = (StructVector) counts.getDataVector();
        counts.startNewValue(0);
        entries.setIndexDefined(0);
        ((VarCharVector) entries.getChildByOrdinal(0)).setSafe(0, "one".getBytes(StandardCharsets.UTF_8));
        ((BigIntVector) entries.getChildByOrdinal(1)).setSafe(0, 1);
        counts.endValue(0, 1);

        StructVector place = (StructVector) batch.getVector("place");
        place.setIndexDefined(0);
        ((BigIntVector) place.getChild("x")).setSafe(0, 7);
        place.getChild("name").setNull(0);
    }

    @Test
    void batchesAreReadAsRecords() throws Exception {
        List<Record> rows = Rows.read(odps, table(), null);
        ArrayRecord row = (ArrayRecord) rows.get(0);
        assertEquals(TIME.toEpochMilli(), row.getDatetimeAsZonedDateTime("at").toInstant().toEpochMilli());
        if (Emulator.HAS_TIMESTAMP) {
            assertEquals(TIME, row.getTimestampAsInstant("ts"));
        }
        assertEquals(PRICE, row.getDecimal("price"));
        assertArrayEquals(BYTES, row.getBinary("bytes").data());
        List<String> tags = new ArrayList<>(List.of("名"));
        tags.add(null);
        assertEquals(tags, row.getArray(String.class, "tags"));
        assertEquals(Map.of("one", 1L), row.getMap(String.class, Long.class, "counts"));
        assertEquals(7L, row.getStruct("place").getFieldValue("x"));
        assertEquals(null, row.getStruct("place").getFieldValue("name"));
        for (int column = 0; column < row.getColumnCount(); column++) {
            assertTrue(rows.get(1).isNull(column));
        }
    }

    @Test
    void batchesAreReadAsBatches() throws Exception {
        DownloadSession session = tunnel.createDownloadSession(Emulator.PROJECT, table());
        assertEquals(2, session.getRecordCount());
        try (ArrowRecordReader reader = session.openArrowRecordReader(0, 2, allocator)) {
            Batches.each(reader, batch -> {
                assertEquals(2, batch.getRowCount());
                assertEquals(TIME.toEpochMilli(), ((DateMilliVector) batch.getVector("at")).get(0));
                if (Emulator.HAS_TIMESTAMP) {
                    assertEquals(NANOSECONDS, ((TimeStampNanoVector) batch.getVector("ts")).get(0));
                }
                assertEquals(PRICE, batch.getVector("price").getObject(0));
                assertArrayEquals(BYTES, (byte[]) batch.getVector("bytes").getObject(0));
                assertEquals("[\"名\",null]", batch.getVector("tags").getObject(0).toString());
                assertEquals("[{\"key\":\"one\",\"value\":1}]", batch.getVector("counts").getObject(0).toString());
                assertEquals("{\"x\":7}", batch.getVector("place").getObject(0).toString());
                batch.getFieldVectors().forEach(column -> assertTrue(column.isNull(1)));
            });
        }
    }
}
