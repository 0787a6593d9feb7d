package maxcompute;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.aliyun.odps.Odps;
import com.aliyun.odps.data.ArrayRecord;
import com.aliyun.odps.data.Binary;
import com.aliyun.odps.data.Char;
import com.aliyun.odps.data.RecordWriter;
import com.aliyun.odps.data.SimpleJsonValue;
import com.aliyun.odps.data.SimpleStruct;
import com.aliyun.odps.data.Varchar;
import com.aliyun.odps.tunnel.TableTunnel;
import com.aliyun.odps.tunnel.TableTunnel.UploadSession;
import com.aliyun.odps.type.StructTypeInfo;
import java.io.IOException;
import java.math.BigDecimal;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** A value of every type, through the record wire there and back, and from SQL through the instance tunnel. */
class ValuesTest {
    private static final String COLUMNS = "(id BIGINT, i INT, s SMALLINT, t TINYINT, f FLOAT, d DOUBLE, b BOOLEAN,"
        + " text STRING, v VARCHAR(20), c CHAR(5), bytes BINARY, price DECIMAL(38,18), day DATE, at DATETIME,"
        + (Emulator.HAS_TIMESTAMP ? " ts TIMESTAMP," : "")
        + " local TIMESTAMP_NTZ, doc JSON, tags ARRAY<STRING>, counts MAP<STRING,BIGINT>,"
        + " place STRUCT<x:BIGINT,name:STRING,inner:ARRAY<DOUBLE>>)";
    private static final Instant TIME = Instant.parse("2026-11-24T10:11:12.123456789Z");
    private final Odps odps = Emulator.client();

    private static ArrayRecord fill(ArrayRecord row) {
        row.setBigint("id", Long.MAX_VALUE);
        row.setInt("i", Integer.MIN_VALUE);
        row.setSmallint("s", Short.MIN_VALUE);
        row.setTinyint("t", (byte) -128);
        row.setFloat("f", 1.5f);
        row.setDouble("d", Math.PI);
        row.setBoolean("b", true);
        row.setString("text", "名 \"quoted\", \\ \n\0");
        row.setVarchar("v", new Varchar("varchar"));
        row.setChar("c", new Char("char"));
        row.setBinary("bytes", new Binary(new byte[] {0, -1, 127}));
        row.setDecimal("price", new BigDecimal("12345678901234567890.123456789012345678"));
        row.setDateAsLocalDate("day", LocalDate.of(1969, 12, 31));
        row.setDatetimeAsZonedDateTime("at", Instant.ofEpochMilli(TIME.toEpochMilli()).atZone(ZoneOffset.UTC));
        if (Emulator.HAS_TIMESTAMP) {
            row.setTimestampAsInstant("ts", TIME);
        }
        row.setTimestampNtz("local", LocalDateTime.of(2026, 11, 24, 10, 11, 12, 123456789));
        row.setJsonValue("doc", new SimpleJsonValue("{\"a\":[1,null]}"));
        row.setArray("tags", Arrays.asList("x", null, "名"));
        Map<String, Long> counts = new HashMap<>();
        counts.put("one", 1L);
        counts.put("none", null);
        row.setMap("counts", counts);
        StructTypeInfo place = (StructTypeInfo) row.getColumns()[row.getColumnCount() - 1].getTypeInfo();
        row.setStruct("place", new SimpleStruct(place, Arrays.asList(7L, null, List.of(0.5, -0.5))));
        return row;
    }

    private static void check(ArrayRecord row) {
        assertEquals(Long.MAX_VALUE, row.getBigint("id"));
        assertEquals(Integer.MIN_VALUE, row.getInt("i"));
        assertEquals(Short.MIN_VALUE, row.getSmallint("s"));
        assertEquals((byte) -128, row.getTinyint("t"));
        assertEquals(1.5f, row.getFloat("f"));
        assertEquals(Math.PI, row.getDouble("d"));
        assertEquals(true, row.getBoolean("b"));
        assertEquals("名 \"quoted\", \\ \n\0", row.getString("text"));
        assertEquals("varchar", row.getVarchar("v").getValue());
        assertEquals("char", row.getChar("c").getValue().stripTrailing());
        assertArrayEquals(new byte[] {0, -1, 127}, row.getBinary("bytes").data());
        assertEquals(new BigDecimal("12345678901234567890.123456789012345678"), row.getDecimal("price"));
        assertEquals(LocalDate.of(1969, 12, 31), row.getDateAsLocalDate("day"));
        assertEquals(TIME.toEpochMilli(), row.getDatetimeAsZonedDateTime("at").toInstant().toEpochMilli());
        if (Emulator.HAS_TIMESTAMP) {
            assertEquals(TIME, row.getTimestampAsInstant("ts"));
        }
        assertEquals(LocalDateTime.of(2026, 11, 24, 10, 11, 12, 123456789), row.getTimestampNtz("local"));
        assertEquals("{\"a\":[1,null]}", row.getJsonValue("doc").toString());
        assertEquals(Arrays.asList("x", null, "名"), row.getArray(String.class, "tags"));
        Map<String, Long> counts = row.getMap(String.class, Long.class, "counts");
        assertEquals(2, counts.size());
        assertEquals(1L, counts.get("one"));
        assertNull(counts.get("none"));
        assertEquals(7L, row.getStruct("place").getFieldValue("x"));
        assertNull(row.getStruct("place").getFieldValue("name"));
        assertEquals(List.of(0.5, -0.5), row.getStruct("place").getFieldValue("inner"));
    }

    private static void checkNulls(ArrayRecord row) {
        assertEquals(Collections.nCopies(row.getColumnCount(), null), Arrays.asList(row.toArray()));
    }

    @Test
    void valuesOfEveryTypeComeBack() throws Exception {
        String table = Emulator.table(odps, "typed", COLUMNS);
        UploadSession session = new TableTunnel(odps).createUploadSession(Emulator.PROJECT, table);
        try (RecordWriter writer = session.openRecordWriter(0)) {
            writer.write(fill((ArrayRecord) session.newRecord()));
            writer.write(session.newRecord());
        }
        session.commit(new Long[] {0L});

        List<ArrayRecord> rows = Rows.read(odps, table, null).stream().map(ArrayRecord.class::cast).toList();
        assertEquals(2, rows.size());
        check(rows.get(0));
        checkNulls(rows.get(1));

        List<ArrayRecord> selected = Emulator.query(odps, "SELECT * FROM " + table + ";").stream()
            .map(ArrayRecord.class::cast).toList();
        assertEquals(2, selected.size());
        check(selected.get(0));
        checkNulls(selected.get(1));
    }

    @Test
    void aStringThatIsNotUtf8IsRefusedAndNotReplaced() throws Exception {
        String table = Emulator.table(odps, "raw", "(name STRING)");
        UploadSession session = new TableTunnel(odps).createUploadSession(Emulator.PROJECT, table);
        IOException error = assertThrows(IOException.class, () -> {
            try (RecordWriter writer = session.openRecordWriter(0)) {
                ArrayRecord row = (ArrayRecord) session.newRecord();
                row.setString("name", new byte[] {(byte) 0xff, (byte) 0xfe, 'a'});
                writer.write(row);
            }
        });
        assertTrue(error.getMessage().contains("MalformedDataStream"), error.getMessage());
        assertArrayEquals(new Long[0], session.getBlockList());
    }
}
